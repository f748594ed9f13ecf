"""The paths of the mock: the model endpoints, and what it tells about itself."""

from dataclasses import dataclass
from urllib.parse import parse_qs

import msgspec

from headrace.cli.mock.answers import model_body, models_body
from headrace.cli.mock.calls import Endpoint
from headrace.cli.mock.perform import Sent, Wire, perform
from headrace.cli.mock.reading import HttpRequest
from headrace.cli.mock.replies import Reply, json_reply, refuse
from headrace.cli.mock.service import MockService

PAGE = 1000
MODELS = "/v1/models"
ENDPOINTS = frozenset(Endpoint)


@dataclass(frozen=True, slots=True)
class Routes:
    """Sends each request to the service or answers it. Only model calls are logged."""

    service: MockService

    async def serve(self, request: HttpRequest, wire: Wire) -> None:
        """Serve one request of any path."""
        path, _, query = request.target.partition(b"?")
        name = path.decode("latin-1")
        if name in ENDPOINTS and request.method == "POST" and not request.refused:
            await self.service.serve(Endpoint(name), request, wire)
            return
        reply = self._answer(request, name, query.decode("latin-1"))
        await perform(reply, wire, Sent(), chunked=request.chunked, keep=request.keep_alive)

    def _answer(self, request: HttpRequest, path: str, query: str) -> Reply:
        if request.refused:
            return _refused(request.refused)
        reply: Reply
        match request.method, path:
            case "GET", "/health":
                reply = json_reply(200, b'{"status":"ok"}')
            case "GET", "/v1/models":
                reply = json_reply(200, models_body(self.service.layers.names))
            case "GET", _ if path.startswith(MODELS + "/"):
                reply = json_reply(200, model_body(path[len(MODELS) + 1 :]))
            case "GET", "/mock/stats":
                reply = json_reply(200, msgspec.json.encode(self.service.stats))
            case "GET", "/mock/log":
                reply = self._log_page(query)
            case "POST", "/mock/reset":
                self.service.reset()
                reply = json_reply(200, b'{"status":"reset"}')
            case method, _:
                reply = refuse(404, f"There is no {method} {path[:200]} here.", "unknown_url")
        return reply

    def _log_page(self, query: str) -> Reply:
        """`?since=N&limit=M`: calls after number N, `next` for the next page."""
        try:
            asked = parse_qs(query, max_num_fields=8)
            since = int(asked.get("since", ["0"])[0])
            limit = min(PAGE, int(asked.get("limit", [str(PAGE)])[0]))
        except ValueError:
            return refuse(400, "since and limit must be whole numbers.")
        calls = self.service.log.since(since, limit)
        last = calls[-1].received.seq if calls else since
        more = last + 1 < self.service.log.next_seq
        page = {"calls": calls, "next": last, "more": more}
        return json_reply(200, msgspec.json.encode(page))


def _refused(status: int) -> Reply:
    """A request that broke a bound of HTTP itself."""
    if status == 413:
        return refuse(413, "The body is larger than the mock reads.")
    if status == 431:
        return json_reply(431, b'{"error":{"message":"The headers are too large.","code":null}}')
    return refuse(400, "This is not HTTP/1.1.")
