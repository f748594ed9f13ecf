"""What can go wrong with a stack, one tree:

StackError
├── DataFolderInUse   another stack runs on the data folder
└── StartFailed       a process ended, or was not ready in time; carries its log's end
"""


class StackError(Exception):
    """Something a person can mend; the message says how."""


class DataFolderInUse(StackError):
    """Another stack runs on the data folder."""


class StartFailed(StackError):
    """A process ended at its start or was not ready in time."""
