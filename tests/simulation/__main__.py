"""`python -m simulation`: run many seeds, or one of them again.

Exit codes: 0 nothing was violated; 1 something was: its seeds are printed; 2 wrong arguments.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import typer
from simulation.run import Result, simulate

SHOWN = 6
CHUNK = 5
GOVERNOR_SEEDS = 10_000
FLEET_SEEDS = 500
LONG_OF = 200
"""For so many seeds the governor plays one of 900 virtual seconds."""


def main() -> int:
    """Read the arguments, run, tell."""
    arguments = _arguments()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of words have the order of their hashes, which is another one in each process.
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        again = [sys.executable, "-m", "simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, environment)  # noqa: S606 - this very command
    if arguments.seed is not None:
        return _one(arguments.seed)
    # It needs the benchmarks' room, which a single seed does not.
    from simulation import governor

    count = arguments.seeds or (GOVERNOR_SEEDS if arguments.governor else FLEET_SEEDS)
    seeds = range(arguments.first, arguments.first + count)
    bad = 0 if arguments.governor else _many(seeds, arguments.jobs)
    return max(bad, governor.run(seeds, arguments.jobs, long=-(-count // LONG_OF)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate", description="The fleet on virtual time.")
    parser.add_argument("--seeds", type=int, help="how many seeds are run: 500, or 10000")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run only this one, and show what was logged")
    parser.add_argument("--governor", action="store_true", help="only its figures, in full length")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    return parser.parse_args()


def _one(seed: int) -> int:
    result = simulate(seed)
    typer.echo("\n".join(result.log))
    _tell(result)
    typer.echo(f"seed {seed}: digest {result.digest}, {result.virtual_s:.0f} virtual seconds")
    return 1 if result.violations else 0


def _many(seeds: range, jobs: int) -> int:
    began = time.monotonic()
    bad: list[Result] = []
    totals = {"requests": 0, "calls": 0, "strikes": 0, "virtual_s": 0.0}
    for number, result in enumerate(_results(seeds, jobs), 1):
        for name in totals:
            totals[name] += getattr(result, name)
        if result.violations:
            bad.append(result)
            _tell(result)
        if sys.stderr.isatty():
            typer.echo(f"\r{number}/{len(seeds)} seeds", nl=False, err=True)
    seconds = time.monotonic() - began
    typer.echo(
        f"{len(seeds)} seeds in {seconds:.0f} s: {len(bad)} with violations;"
        f" {totals['requests']} requests, {totals['calls']} calls,"
        f" {totals['strikes']} kills and freezes, {totals['virtual_s'] / 3600:.1f} virtual hours"
    )
    return 1 if bad else 0


def _results(seeds: range, jobs: int) -> Iterator[Result]:
    if jobs == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=CHUNK)


def _tell(result: Result) -> None:
    typer.echo(
        f"\nseed {result.seed} (digest {result.digest}): {len(result.violations)} violations"
    )
    for violation in result.violations[:SHOWN]:
        typer.echo(f"  {violation}")


if __name__ == "__main__":
    sys.exit(main())
