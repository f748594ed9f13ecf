"""A record as the dispatcher's pure parts see it."""

from typing import Protocol

from headrace.schemas.records import Headers


class SourceRecord(Protocol):
    """A Kafka record as the consumer gives it; `timestamp` is epoch ms."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
