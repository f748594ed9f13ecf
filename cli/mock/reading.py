"""Reading HTTP/1.1 requests from bytes, without I/O: an httptools parser with bounds."""

from dataclasses import dataclass, field
from typing import Final

import httptools

MAX_HEADER_BYTES: Final = 65_536


@dataclass(slots=True)
class HttpRequest:
    """One request, whole. Header names in lower case. `refused` is a status if it broke a bound."""

    method: str = ""
    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True
    chunked: bool = True
    refused: int = 0


class RequestReader:
    """Feed it what the socket gives; it returns the requests that are complete.

    A request that breaks a bound, or is no HTTP, comes back as a last one with `refused`; what
    is fed after it is thrown away. `expects_continue` tells that the client waits for a 100.
    """

    def __init__(self, max_body_bytes: int) -> None:
        """Refuse bodies above `max_body_bytes`."""
        self._max_body_bytes = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[HttpRequest] = []
        self._request = HttpRequest()
        self._body: list[bytes] = []
        self._header_bytes = 0
        self._body_bytes = 0
        self._refusing = False
        self.expects_continue = False

    def feed(self, received: bytes) -> list[HttpRequest]:
        """The requests that `received` completes, in order."""
        self.expects_continue = False
        if not self._refusing:
            try:
                self._parser.feed_data(received)
            except httptools.HttpParserUpgrade:
                pass  # the request itself was read; the offer of another protocol is not taken
            except httptools.HttpParserCallbackError:
                raise
            except httptools.HttpParserError:
                self._refuse(400)
        complete, self._complete = self._complete, []
        return complete

    def on_message_begin(self) -> None:
        """Start a request."""
        self._request = HttpRequest()
        self._header_bytes = self._body_bytes = 0
        self._body = []

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in parts."""
        self._request.target += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of repeated ones the last."""
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Notice `Expect: 100-continue`."""
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.expects_continue = True

    def on_body(self, body: bytes) -> None:
        """Collect the body up to its bound."""
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            self._refuse(413)
        elif not self._refusing:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.body = b"".join(self._body)
        request.keep_alive = self._parser.should_keep_alive()
        request.chunked = self._parser.get_http_version() == "1.1"
        self._body = []
        if not self._refusing:
            self._complete.append(request)

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        if not self._refusing:
            self._refusing = True
            self._body = []
            self._complete.append(HttpRequest(refused=status, keep_alive=False))
