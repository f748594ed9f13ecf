"""P8: no answer to one tenant's request reaches another tenant, over HTTP or Kafka.

The mock makes an answer's `id` of the digest of the request's body, and a body names its tenant.
"""

from collections import defaultdict
from collections.abc import Iterator

from faults.history.events import Ok, Way
from faults.history.evidence import Asked, Evidence
from faults.history.http_ways import marks_of, read_answer
from faults.history.records import headers_of
from faults.history.sse import payloads
from faults.history.violation import Promise, Violation
from headrace.schemas.errors import Code
from headrace.schemas.headers import H

MARK_DIGITS = 24
"""Digits of the body's digest in the mark of its answer."""


def no_foreign_answer(evidence: Evidence) -> Iterator[Violation]:
    """Each mark that somebody saw belongs to a request of its own."""
    owners = {asked.invoke.body[:MARK_DIGITS]: asked for asked in evidence.asked.values()}
    for asked in evidence.asked.values():
        if asked.invoke.way is Way.PEEK:
            if isinstance(asked.outcome, Ok):
                what = f"{asked.invoke.tenant} was given a request of another tenant"
                yield Violation(Promise.P8, asked.name, what, (f"#{asked.invoke.number}",))
        elif asked.outcome is not None:
            for mark in asked.outcome.seen.marks:
                yield from _foreign(asked, mark, owners)
    yield from _own_topics(evidence, owners)
    yield from _shared_keys(evidence)


def _foreign(asked: Asked, mark: str, owners: dict[str, Asked]) -> Iterator[Violation]:
    owner = owners.get(_digits(mark))
    if owner is None or owner.invoke.body == asked.invoke.body:
        return
    whose = "another tenant's" if owner.invoke.tenant != asked.invoke.tenant else "another"
    what = f"{asked.invoke.tenant} got the answer to {whose} request #{owner.invoke.number}"
    yield Violation(Promise.P8, asked.name, what, (mark, f"#{asked.invoke.number}"))


def _shared_keys(evidence: Evidence) -> Iterator[Violation]:
    """A key is a tenant's own: the same key of another tenant is another request."""
    bodies: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for asked in evidence.asked.values():
        bodies[(asked.invoke.tenant, asked.invoke.key)].add(asked.invoke.body)
    for asked in evidence.asked.values():
        tenant, key, number = asked.invoke.tenant, asked.invoke.key, asked.invoke.number
        outcome = asked.outcome
        if not key or outcome is None:
            continue
        refused = outcome.seen.code == Code.IDEMPOTENCY_MISMATCH
        if refused and len(bodies[(tenant, key)]) == 1:
            what = f"{tenant} was refused for another body, and sent none under this key"
            yield Violation(Promise.P8, asked.name, what, (f"#{number}",))
        for record in evidence.requests.get(asked.id, ()):
            owner = headers_of(record).get(H.TENANT, b"").decode()
            if owner != tenant:
                what = f"{tenant} was given the request of {owner} with the same key"
                yield Violation(Promise.P8, asked.id, what, (record.place, f"#{number}"))


def _own_topics(evidence: Evidence, owners: dict[str, Asked]) -> Iterator[Violation]:
    """What stands in a tenant's own reply topic."""
    stem = f"{evidence.run.prefix}own."
    for request_id, finals in evidence.finals.items():
        for final in finals:
            if not final.place.topic.startswith(stem):
                continue
            reader = final.place.topic.removeprefix(stem)
            body = final.reply.body
            first = next(payloads(body), b"") if body.startswith(b"data:") else body
            for mark in marks_of(read_answer(first)):
                owner = owners.get(_digits(mark))
                if owner is not None and owner.invoke.tenant != reader:
                    what = f"an answer for {owner.invoke.tenant} in the topic of {reader}"
                    yield Violation(Promise.P8, request_id, what, (final.place.place,))


def _digits(mark: str) -> str:
    return mark.rpartition("-")[2]
