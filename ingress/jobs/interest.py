"""Saying that somebody is interested in a request whose own client may be gone.

Another replica may be counting its grace. It reads `claims`, as all do: an `Attach` for the id there
keeps the request. Said once for each request and process.
"""

from collections import OrderedDict

from headrace.ingress.index import ClaimWriter, Row
from headrace.ingress.jobs.grace import Grace
from headrace.ingress.kafka.connect import acknowledged
from headrace.schemas.claims import Attach
from headrace.schemas.names import InstanceId, Kind, RequestId

MAX_SAID = 20_000


class Interest:
    """One per process."""

    def __init__(self, instance: InstanceId, claims: ClaimWriter, grace: Grace) -> None:
        self._instance = instance
        self._claims = claims
        self._grace = grace
        self._said: OrderedDict[RequestId, None] = OrderedDict()

    async def show(self, row: Row) -> None:
        """Somebody here looks at or follows `row`."""
        if row.ended or row.kind is Kind.JOB:
            return
        self._grace.keep(row.id)
        if row.instance == self._instance or row.id in self._said:
            return
        self._said[row.id] = None
        if len(self._said) > MAX_SAID:
            self._said.popitem(last=False)
        attach = Attach(
            tenant=row.tenant,
            endpoint=row.endpoint,
            digest="",
            id=row.id,
            instance=self._instance,
        )
        if await acknowledged(self._claims.append(attach)) is not None:
            self._said.pop(row.id, None)
