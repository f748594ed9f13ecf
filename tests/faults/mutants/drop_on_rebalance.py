"""What was read and not begun when partitions are revoked counts as done."""

from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.kafka.source import Source

ROLE = "dispatcher"


def apply() -> None:
    """Before anything else of the revocation."""
    revoked = Source.on_partitions_revoked

    async def dropping(self: Source, partitions: Any) -> None:
        for tenure in self.tenures.values():
            for offset in list(tenure.tracker._window):
                if offset not in tenure.running:
                    tenure.finished(offset)
        await revoked(self, partitions)

    replace(Source, on_partitions_revoked=dropping)
