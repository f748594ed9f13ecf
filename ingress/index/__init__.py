"""What every replica knows of requests that outlive their connection, read from `status` and `claims`.

How it works. `follower.Follower` reads both topics into `index.Index`, which answers from memory and
from a SQLite file that it keeps in a folder of this process (`store`, `slots`); the rules of what a
sequence of records means are pure (`row`, `known`). `results.Results` reads the answers that rows point
to; `writers` appends to the two topics; `assembly` holds them together. Everything is made anew from
Kafka when the file is gone.

For a request: `get`, then for an unknown id that may be young `wait_to_end`, then 404; `NotCaughtUp`
and an unknown id before `ready` are 503 `REBUILDING`.
"""

from headrace.ingress.index.assembly import Indexing
from headrace.ingress.index.follower import Follower
from headrace.ingress.index.index import Index
from headrace.ingress.index.known import KnownClaim
from headrace.ingress.index.progress import NotCaughtUp
from headrace.ingress.index.results import ResultGone, ResultLost, Results, ResultUnavailable
from headrace.ingress.index.row import Row, State
from headrace.ingress.index.writers import Appender, ClaimWriter, Place, StatusWriter
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code

__all__ = [
    "REBUILDING",
    "Appender",
    "ClaimWriter",
    "Follower",
    "Index",
    "Indexing",
    "KnownClaim",
    "NotCaughtUp",
    "Place",
    "ResultGone",
    "ResultLost",
    "ResultUnavailable",
    "Results",
    "Row",
    "State",
    "StatusWriter",
]

REBUILDING = Refusal(
    Code.INDEX_REBUILDING,
    "This process still reads what is known of requests.",
    retry_after_s=2,
)
