"""Runs one job, given as JSON in the only argument."""

import gc
import sys

import msgspec
import uvloop

from benchmarks.load.closed import ClosedLoop
from benchmarks.load.jobs import ClosedJob, Job, OpenJob, StreamsJob
from benchmarks.load.open import OpenLoop
from benchmarks.load.streams import StreamsLoop


def loop_of(job: ClosedJob | OpenJob | StreamsJob) -> ClosedLoop | OpenLoop | StreamsLoop:
    """The loop that runs a job."""
    match job:
        case ClosedJob():
            return ClosedLoop(job)
        case OpenJob():
            return OpenLoop(job)
        case StreamsJob():
            return StreamsLoop(job)


def main() -> None:
    """Run it, print the outcome."""
    gc.disable()  # a window is short, and its pauses would be taken for the server's
    job: Job = msgspec.json.decode(sys.argv[1], type=Job)
    outcome = uvloop.run(loop_of(job).run())
    print(msgspec.json.encode(outcome).decode(), flush=True)


main()
