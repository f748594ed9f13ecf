"""Claims as keys and orphans append them: an error of Kafka's is a refusal, which a client can be told."""

from aiokafka.errors import KafkaError

from headrace.ingress.index import ClaimWriter, Place
from headrace.ingress.kafka.connect import trouble_of
from headrace.ingress.refusal import Refusal
from headrace.schemas.claims import Entry


class ClaimLog:
    """Appends through `ClaimWriter`."""

    def __init__(self, writer: ClaimWriter) -> None:
        self._writer = writer

    async def append(self, entry: Entry) -> Place | Refusal:
        """Where the entry stands; a refusal where that is not known: it may be written all the same."""
        try:
            return await self._writer.append(entry)
        except KafkaError as error:
            return trouble_of(error)
