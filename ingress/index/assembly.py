"""The index with everything around it, as the composition root makes and runs it."""

import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

from headrace.ingress.index.follower import Follower
from headrace.ingress.index.index import Index
from headrace.ingress.index.results import Results
from headrace.ingress.index.writers import Appender, ClaimWriter, StatusWriter
from headrace.schemas.config.model import Config
from headrace.schemas.names import InstanceId
from headrace.schemas.topics import Topics, status_kept_ms
from headrace.telemetry.logs import Log


class Indexing:
    """The parts; `now_ms` is broker time. No request without a kind touches any of them."""

    def __init__(
        self, config: Config, instance: InstanceId, now_ms: Callable[[], int], log: Log
    ) -> None:
        topics = Topics(config.kafka.topic_prefix)
        self.index = Index(index_folder(config), topics, status_kept_ms(config), now_ms)
        self.results = Results(config.kafka, f"{instance}-results", log)
        self.appender = Appender(config.ingress.kafka_grace_s)
        """What `Link` gives its producer to."""
        self.states = StatusWriter(self.appender, topics)
        self.claims = ClaimWriter(self.appender, topics)
        self._follower = Follower(config.kafka, self.index, f"{instance}-index", log)

    @property
    def condition(self) -> str:
        """`ok`, or in plain words what the index is doing instead."""
        return self._follower.condition

    def tasks(self) -> tuple[tuple[str, Coroutine[object, object, None]], ...]:
        """What runs as long as the process does, by name."""
        return ("index", self._follower.run()), ("results", self.results.run())

    async def close(self) -> None:
        """Write what was read; after the tasks have ended."""
        await self._follower.close()


def index_folder(config: Config) -> Path:
    """Where the files are. One folder for each user and prefix: another user's would not be trusted."""
    if config.ingress.index_dir is not None:
        return Path(config.ingress.index_dir)
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    name = config.kafka.topic_prefix.strip(".") or "default"
    return Path(tempfile.gettempdir()) / f"headrace-index{user}" / name
