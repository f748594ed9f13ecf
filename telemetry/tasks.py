"""What a task must know of itself where a library cancels what it should not.

aiokafka lets the cancellation of its own tasks leak out, which must not end ours.
"""

import asyncio


def is_cancelled() -> bool:
    """Whether somebody really wants the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
