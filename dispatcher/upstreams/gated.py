"""A request that asks its gate once it has a connection in hand, and not a moment before.

aiohttp's tracing calls back when a connection is there, too. But an exception there leaves a new connection
open that nobody knows of, and what it says of a kept one comes before the body is looked at.
"""

import aiohttp
from aiohttp.connector import Connection

from headrace.dispatcher.upstreams.request_body import RequestBody


class Withheld(Exception):
    """The gate stayed closed: nothing was sent, and the connection is free for another call."""


class GatedRequest(aiohttp.ClientRequest):
    """What a session of a deployment with limits of the whole fleet makes of a call."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send, if the body's gate opens. Raises `Withheld`."""
        body = self.body
        if isinstance(body, RequestBody) and body.gate is not None:
            if not body.gate():
                conn.release()
                raise Withheld
            body.opened_s = self.loop.time()
        return await super().send(conn)
