"""What can stand against a command about jobs.

JobsError
├── Unreachable     12   no answer over HTTP
├── KeyRefused      13   the API key is missing, wrong, or not allowed this
├── NoSuchJob        4   no job of this key has the id
├── EndedOtherwise  11   the job had ended before it could be cancelled
└── Refused         14   any other error of the API
"""


class JobsError(Exception):
    """Says what happened; ends the command with `exit_code`."""

    exit_code = 1


class Unreachable(JobsError):
    """No answer over HTTP."""

    exit_code = 12


class KeyRefused(JobsError):
    """The API key is missing, wrong, or not allowed this."""

    exit_code = 13


class NoSuchJob(JobsError):
    """No job of this key has the id."""

    exit_code = 4


class EndedOtherwise(JobsError):
    """The job had ended before it could be cancelled."""

    exit_code = 11


class Refused(JobsError):
    """Any other error of the API."""

    exit_code = 14


_BY_STATUS: dict[int, type[JobsError]] = {
    401: KeyRefused,
    403: KeyRefused,
    404: NoSuchJob,
    409: EndedOtherwise,
}


def error_for(status: int, message: str) -> JobsError:
    """The error that an HTTP answer means."""
    return _BY_STATUS.get(status, Refused)(message)
