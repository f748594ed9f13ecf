"""Dead letters on an installation's topics without anything that runs, and the command beside them."""

import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from headrace.schemas.names import DeploymentName
from headrace.schemas.records import Attempt
from headrace.schemas.retries import Source, dead_letter_headers
from headrace.schemas.topics import Topics
from support.commands import headrace

Record = ConsumerRecord[bytes, bytes]
PROMPT = b"the prompt that nobody may see"
BODY = b'{"model":"m1","messages":[{"role":"user","content":"%s"}]}' % PROMPT
HISTORY = (Attempt(1, 1_790_000_000_000, DeploymentName("east"), 500, "server_error"),)


class Desk:
    """An installation's topics without anything that runs, and the command."""

    def __init__(self, bootstrap: str, prefix: str, file: Path) -> None:
        self.bootstrap = bootstrap
        self.topics = Topics(prefix)
        self.file = file

    async def dlq(self, *arguments: str) -> tuple[int, bytes, str]:
        """Run the real command; its exit code and what it wrote."""
        return await headrace("dlq", arguments[0], "--config", str(self.file), *arguments[1:])

    async def rows(self, *arguments: str) -> list[dict[str, Any]]:
        code, printed, told = await self.dlq(*arguments, "--output", "json")
        assert code == 0, told
        return [json.loads(line) for line in printed.splitlines()]

    async def bury(
        self,
        request_id: str,
        *,
        headers: list[tuple[str, Any]] | None = None,
        value: bytes | None = BODY,
        key: bytes | None = b"k",
        topic: str = "",
        reason: str = "attempts_exhausted",
        offset: int = 5,
    ) -> str:
        """Write a letter as a dispatcher does, of the record at `offset`; returns its place."""
        source = Source(topic or self.topics.requests("standard"), 1, offset, key, 0)
        own = [("ce_id", request_id.encode())] if headers is None else headers
        kept = dead_letter_headers(own, source, reason=reason, history=HISTORY)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", max_request_size=4_000_000
        )
        await producer.start()
        ack = await producer.send_and_wait(
            self.topics.dead_letters, value, key=request_id.encode(), headers=kept
        )
        await producer.stop()
        return f"{ack.partition}:{ack.offset}"

    async def dump(self, topic: str) -> list[Record]:
        """All that a topic of few partitions holds."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        found: list[Record] = []
        try:
            await consumer._client.force_metadata_update()
            known = consumer._client.cluster.partitions_for_topic(topic) or set()
            places = [TopicPartition(topic, n) for n in known]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(tp) < ends[tp] for tp in places]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += batch
        finally:
            await consumer.stop()
        return found


def config_file(folder: Path, bootstrap: str, prefix: str) -> Path:
    file = folder / "headrace.yaml"
    file.write_text(f"""
kafka:
  bootstrap_servers: ["{bootstrap}"]
  topic_prefix: "{prefix}"
  replication_factor: 1
  min_insync_replicas: 1
  request_timeout_s: 5
  partitions: {{requests: 2, delay: 1, replies: 2, control: 1, dead_letters: 2, events: 1}}
lanes: {{standard: {{deadline_s: 60}}, batch: {{deadline_s: 600}}}}
deployments: [{{name: m, model: m, upstream: {{base_url: "http://127.0.0.1:1/v1"}}}}]
""")
    return file
