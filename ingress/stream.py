"""Answering a stream. The 200 is committed with the first upstream byte or at the first keep-alive,
whichever comes first: before it an error is an HTTP status, after it one error event. The response
ends cleanly only with the upstream's own end, or after an error event.
"""

from collections.abc import Callable

from headrace.ingress import answer
from headrace.ingress.asgi import Send, send_answer, send_part
from headrace.ingress.board import ReplyBoard
from headrace.ingress.connection import Listener
from headrace.ingress.metrics import Metrics
from headrace.ingress.waiter import Waiter
from headrace.schemas.errors import error_body, error_event


async def relay(
    board: ReplyBoard, waiter: Waiter, listener: Listener, send: Send,
    monotonic: Callable[[], float], metrics: Metrics,
) -> None:  # fmt: skip
    """Write `waiter`'s stream to its client as it comes, until it ends or the client goes."""
    started = waiter.touched_at
    committed = False
    first_byte_seen = False
    while not listener.lost:
        chunk = board.take(waiter)
        if not chunk:
            if waiter.settled:
                await _end(waiter, send, committed)
                return
            if not waiter.tick:
                await listener.change()
                continue
            waiter.tick = False
            chunk = comment(waiter, monotonic() - started)
        elif not first_byte_seen:
            first_byte_seen = True
            metrics.first_token(monotonic() - started)
        if not committed:
            head = answer.stream_headers(
                waiter.id, waiter.attempt, waiter.queue_ms, waiter.upstream
            )
            await send({"type": "http.response.start", "status": 200, "headers": head})
            committed = True
        if not listener.write_part(chunk):
            await send_part(send, chunk)
        waiter.touched_at = monotonic()


def comment(waiter: Waiter, wait_s: float) -> bytes:
    """What keeps an idle connection alive; readers of event streams skip it."""
    return b": %b wait_s=%d\n\n" % (b"queued" if waiter.next_seq == 1 else b"running", wait_s)


async def _end(waiter: Waiter, send: Send, committed: bool) -> None:
    final, failure = waiter.final, waiter.failure
    if not committed:
        whole = (
            answer.from_reply(final, waiter.id)
            if final is not None
            else answer.from_refusal(failure, waiter.id)  # type: ignore[arg-type]  # settled: one of both
        )
        await send_answer(send, whole)
    elif final is not None:
        last = final.body if final.status == 200 else error_event(final.body, final.status)
        await send({"type": "http.response.body", "body": last})
    elif failure is not None:
        body = error_body(failure.code, failure.message, failure.param)
        event = error_event(body, failure.spec.status)
        await send({"type": "http.response.body", "body": event})
