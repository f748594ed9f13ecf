"""The status of a URL on this machine, without waiting for an HTTP library to be imported."""

import asyncio
from urllib.parse import urlsplit

ANSWER_LIMIT_S = 2.0


async def status_of(url: str) -> int | None:
    """The HTTP status of a GET; None when nobody answers within two seconds."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                head = f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close"
                writer.write(f"{head}\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    words = line.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
