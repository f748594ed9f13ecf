"""What a request meets on its way through this role."""

from collections.abc import Callable

import msgspec

from headrace.ingress.accounts import Accounts
from headrace.ingress.board import ReplyBoard
from headrace.ingress.forecast import Forecast
from headrace.ingress.index import Indexing
from headrace.ingress.jobs.assembly import Jobs
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.link import Link
from headrace.ingress.kafka.outbox import Outbox
from headrace.ingress.keys.assembly import Keys
from headrace.ingress.metrics import Metrics
from headrace.ingress.policy import AdmissionPolicy
from headrace.schemas.clock import BrokerClock
from headrace.telemetry.logs import Log


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the routes work with, made by the composition root."""

    policy: AdmissionPolicy
    board: ReplyBoard
    link: Link
    outbox: Outbox
    cancels: Cancels
    clock: BrokerClock
    monotonic: Callable[[], float]
    metrics: Metrics
    accounts: Accounts
    jobs: Jobs
    keys: Keys
    log: Log
    indexing: Indexing
    forecast: Forecast
    max_sync_wait_s: float
