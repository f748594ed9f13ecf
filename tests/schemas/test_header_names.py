from headrace.schemas import records, replies
from headrace.schemas.names import Outcome, RequestId
from headrace.schemas.records import RequestRecord
from headrace.schemas.replies import Cancel, Reply


def test_header_names_are_plain_strings() -> None:
    """aiokafka's compiled encoder takes `str` itself and no subclass of it, so no `StrEnum` member."""
    request = RequestRecord(
        id=RequestId("r"), body=b"{}", due_ms=1, idempotency_key="k", body_sha256="s", replays=1
    )
    reply = Reply(
        id=RequestId("r"), body=b"", final=True, part=(1, 2), outcome=Outcome.FAILED, code="c",
        retry_after_ms=1, upstream_headers=b"{}",
    )  # fmt: skip
    headers = [
        *records.encode(request, b"s"),
        *replies.encode(reply, b"s"),
        *replies.encode_cancel(Cancel(RequestId("r"), 1), b"s"),
    ]
    assert {type(name) for name, _ in headers} == {str}
