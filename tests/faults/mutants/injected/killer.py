"""A record that ends the process that calls the model `killer`: a segmentation fault in some library."""

import asyncio
import os
import signal
from typing import Any

from faults.mutants.patching import replace
from headrace.dispatcher.ports import Call
from headrace.dispatcher.upstreams import OpenAIUpstream

ROLE = "dispatcher"
MODEL = "killer"
SOON_S = 0.05


def apply() -> None:
    """The process ends before the call leaves it."""
    call_upstream = OpenAIUpstream.call

    async def deadly(self: OpenAIUpstream, call: Call, forward: Any) -> Any:
        if call.deployment == MODEL:
            await asyncio.sleep(SOON_S)
            os.kill(os.getpid(), signal.SIGKILL)
        return await call_upstream(self, call, forward)

    replace(OpenAIUpstream, call=deadly)
