"""Whether a request with an idempotency key is the first of it: asked of the index, decided by the log.

The table is in `decide`; this appends the claims and reads them back. A process whose index has not
read `claims` to its end cannot tell, and says so.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from headrace.ingress.index import REBUILDING, Index, Row
from headrace.ingress.jobs.watch import Watch
from headrace.ingress.kafka.claims import ClaimLog
from headrace.ingress.kafka.connect import AWAY
from headrace.ingress.keys.decide import (
    Append,
    Attach,
    Mismatch,
    Win,
    after_claim,
    on_arrival,
    silent_in_ms,
)
from headrace.ingress.keys.digest import request_digest
from headrace.ingress.refusal import Refusal
from headrace.schemas.claims import Claim
from headrace.schemas.errors import Code
from headrace.schemas.names import InstanceId, RequestId, Tenant
from headrace.schemas.records import RequestRecord

READ_BACK_S = 2.0
"""How long the log may take to be read up to an own claim."""

_MISMATCH = Refusal(
    Code.IDEMPOTENCY_MISMATCH,
    "This idempotency key belongs to a request with another body.",
    "idempotency-key",
)


class KeyDesk:
    """Where keyed requests go first. One per process."""

    def __init__(
        self, index: Index, watch: Watch, claims: ClaimLog, instance: InstanceId,
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """`now_ms` is broker time."""
        self._index = index
        self._watch = watch
        self._claims = claims
        self._instance = instance
        self.now_ms = now_ms
        self._rescues: dict[RequestId, asyncio.Future[Refusal | None]] = {}

    async def ask(self, record: RequestRecord) -> Win | Attach | Refusal:
        """What becomes of `record`, which carries a key. Claims the key if nobody has."""
        if not self._index.ready:
            return REBUILDING
        digest = request_digest(record.endpoint, record.body)
        known = self._index.claim(record.tenant, record.idempotency_key)
        verdict = on_arrival(known, digest)
        if isinstance(verdict, Append):
            return await self._claim(record, digest)
        return _MISMATCH if isinstance(verdict, Mismatch) else verdict

    async def _claim(self, record: RequestRecord, digest: str) -> Win | Attach | Refusal:
        claim = Claim(
            tenant=record.tenant,
            key=record.idempotency_key,
            digest=digest,
            lane=record.lane,
            model=record.model,
            instance=self._instance,
            deadline_ms=record.deadline_ms,
        )
        place = await self._claims.append(claim)
        if isinstance(place, Refusal):
            return place
        try:
            async with asyncio.timeout(READ_BACK_S):
                first = await self._index.claimed(claim, place.partition, place.offset, place.at_ms)
        except TimeoutError:
            return AWAY
        verdict = after_claim(first, digest, partition=place.partition, offset=place.offset)
        return _MISMATCH if isinstance(verdict, Mismatch) else verdict

    async def first(
        self, record: RequestRecord, attach: Attach, write: Callable[[], Awaitable[Refusal | None]]
    ) -> Row | Refusal:
        """The row of the request that `record` attaches to.

        Where its winner stays silent, `write` writes it in its place: once in this process, whoever
        attaches. Raises `NotCaughtUp` where the log cannot tell.
        """
        row = await self._appears(record.tenant, attach)
        if row is not None:
            return row
        rescue = self._rescues.get(attach.id)
        if rescue is None:
            rescue = self._rescues[attach.id] = asyncio.ensure_future(write())
            rescue.add_done_callback(lambda _: self._rescues.pop(attach.id, None))
        refused = await asyncio.shield(rescue)
        if refused is not None:
            return refused
        return await self._index.wait_to_end(record.tenant, attach.id) or REBUILDING

    async def _appears(self, tenant: Tenant, attach: Attach) -> Row | None:
        """The row once it is there; None if the winner is silent."""
        row = self._index.get(tenant, attach.id)
        if row is not None:
            return row
        appeared = asyncio.Event()
        left_s = silent_in_ms(attach.claimed_ms, self.now_ms(), random.random()) / 1000  # noqa: S311 - no secret
        with self._watch.on(tenant, attach.id, appeared.set), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await appeared.wait()
        return await self._index.wait_to_end(tenant, attach.id)
