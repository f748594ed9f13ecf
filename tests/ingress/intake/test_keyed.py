"""Records with keys, of a real ingress on the real Kafka without any dispatcher: no request ends."""

from typing import Any

import pytest

from headrace.ingress.intake import keyed
from headrace.schemas.names import Tenant

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}]}'
TWO = {"acme": {"inbox": True}, "other": {"inbox": True}}


async def test_an_inbox_full_of_owed_answers_holds_up_no_other(
    start_intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed, "MAX_OWED", 8)
    monkeypatch.setattr(keyed, "MIN_OWED", 1)
    post = await start_intake(tenants=TWO)
    lane = post.topics.requests("standard")
    for number in range(4):
        key = f"k{number}"
        await post.write(BODY, headrace_idempotency_key=key, headrace_reply_topic=post.answers)
    await post.read(lane, 4)
    await post.write(BODY, headrace_idempotency_key="k4", headrace_reply_topic=post.answers)
    await post.write_to(post.topics.inbox(Tenant("other")), BODY, [("ce_id", b"plain")])
    written = await post.read(lane, 5)
    ids = [dict(record.headers)["ce_id"] for record in written]
    assert (len(ids), ids.count(b"plain")) == (5, 1)
