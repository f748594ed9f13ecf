"""`headrace up`: Kafka and every role on this machine, supervised.

    async with Stack(Path("data"), dispatchers=3) as stack:
        ...  # stack.ingress_url, stack.dispatchers[0].kill()

How it works: `layout` says what runs where (pure), `role` is one process, `stack` starts them
in the order they need each other and stops them in the reverse, `supervisor` starts again
what died, `command` is the command line.
"""

from headrace.cli.up.errors import DataFolderInUse, StackError, StartFailed
from headrace.cli.up.role import Role
from headrace.cli.up.stack import Stack

__all__ = ["DataFolderInUse", "Role", "Stack", "StackError", "StartFailed"]
