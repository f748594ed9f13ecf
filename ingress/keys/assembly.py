"""The parts of this room and of the intake with everything they need, as the composition root runs them."""

from collections.abc import Callable, Coroutine

from headrace.ingress.board import ReplyBoard
from headrace.ingress.index import Indexing
from headrace.ingress.intake.check import intake_policy
from headrace.ingress.intake.intake import Intake
from headrace.ingress.intake.keyed import KeyedRecords
from headrace.ingress.jobs.assembly import Jobs
from headrace.ingress.kafka.cancels import Cancels
from headrace.ingress.kafka.claims import ClaimLog
from headrace.ingress.kafka.forward import Forward
from headrace.ingress.kafka.link import Link
from headrace.ingress.keys.comebacks import Comebacks
from headrace.ingress.keys.desk import KeyDesk
from headrace.ingress.keys.keyed import KeyedRequests
from headrace.ingress.metrics import Metrics
from headrace.ingress.policy import AdmissionPolicy
from headrace.schemas.config.model import Config
from headrace.schemas.names import InstanceId
from headrace.telemetry.logs import Log


class Keys:
    """What gives repeats of a request one upstream call. Plain requests touch none of it."""

    def __init__(
        self, config: Config, *, instance: InstanceId, policy: AdmissionPolicy, board: ReplyBoard,
        indexing: Indexing, jobs: Jobs, link: Link, forward: Forward, cancels: Cancels,
        metrics: Metrics, now_ms: Callable[[], int], monotonic: Callable[[], float], log: Log,
    ) -> None:  # fmt: skip
        claims = ClaimLog(indexing.claims)
        desk = KeyDesk(indexing.index, jobs.watch, claims, instance, now_ms)
        self.keyed = KeyedRequests(desk, jobs.exchange, jobs.ledger, link, metrics)
        self.comebacks = Comebacks(
            instance, indexing.index, claims, board, cancels, forward, monotonic
        )
        board.stray = self.comebacks.stray
        self._forward = forward
        self._intake: Intake | None = None
        inboxes = intake_policy(config, policy)
        if inboxes is not None:
            records = KeyedRecords(desk, indexing.index, indexing.results, len(inboxes.inboxes))
            self._intake = Intake(config, inboxes, instance, records, log)

    def tasks(self) -> tuple[tuple[str, Coroutine[object, object, None]], ...]:
        """What runs as long as the process does, by name."""
        forward = ("forward", self._forward.run())
        return (forward,) if self._intake is None else (forward, ("intake", self._intake.run()))
