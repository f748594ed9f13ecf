"""Where the product's time goes: py-spy beside a window, its samples as two short lists.

py-spy reads the process from outside and needs the right to do so (root, or a relaxed
ptrace scope). Its samples disturb what they measure: no figure is taken in these windows.
"""

import asyncio
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from benchmarks.harness.arena import PRODUCT, Arena
from benchmarks.harness.options import Options
from benchmarks.harness.windows import Measured
from benchmarks.load.jobs import ClosedJob, Job, StreamsJob

SAMPLES_PER_S = 500
SECONDS = 8.0
TOP = 45
_LINE = re.compile(r":\d+\)$")


async def profile_product(arena: Arena, options: Options, folder: Path) -> None:
    """Write NAME.txt (two lists) and NAME.raw (collapsed stacks) per process and kind of load."""
    folder.mkdir(parents=True, exist_ok=True)
    target = arena.product.target(stream=False)
    plain = ClosedJob(target, options.connections, options.warm_s, SECONDS)
    await _profile(arena, plain, folder, "plain")
    if not options.control:
        target = arena.product.target(stream=True)
        tokens, stream_s = options.stream_tokens, options.stream_s
        streams = StreamsJob(target, options.streams, tokens, stream_s, SECONDS)
        await _profile(arena, streams, folder, "streams")


async def _profile(arena: Arena, job: Job, folder: Path, load: str) -> None:
    window = asyncio.create_task(arena.measure(job))
    await asyncio.sleep(job.stream_s + 1 if isinstance(job, StreamsJob) else 1)
    raws = {name: folder / f"{load}-{name.split()[-1]}.raw" for name in arena.product.processes}
    await asyncio.gather(
        *(_record(arena.product.processes[name], raw) for name, raw in raws.items())
    )
    measured = await window
    for name, raw in raws.items():
        if raw.exists():
            text = _title(name, measured) + summarise(raw.read_text(encoding="utf-8"), TOP)
            raw.with_suffix(".txt").write_text(text, encoding="utf-8")


async def _record(pid: int, raw: Path) -> None:
    here = Path(sys.executable).parent
    spy = shutil.which("py-spy", path=f"{here}:/usr/bin:/usr/local/bin")
    if spy is None:
        raise FileNotFoundError("profiles need py-spy: pip install py-spy")
    duration = str(round(SECONDS - 2))
    settings = ("-r", str(SAMPLES_PER_S), "-d", duration, "-f", "raw", "-o", str(raw))
    process = await asyncio.create_subprocess_exec(
        spy, "record", "-p", str(pid), *settings, stdout=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def _title(name: str, window: Measured) -> str:
    per_request = window.cpu_per_request_us(name) if window.outcome.completed else 0.0
    cores = window.cpu_s[name] / window.outcome.seconds
    return f"{name} ({PRODUCT}): {cores:.2f} cores, {per_request:.0f} us CPU a request or stream\n"


def summarise(raw: str, top: int) -> str:
    """Collapsed stacks (`outer;inner COUNT` a line) as shares: by function in all, by line itself."""
    within: Counter[str] = Counter()
    itself: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, count_text = line.rpartition(" ")
        count, frames = int(count_text), stack.split(";")
        total += count
        itself[frames[-1]] += count
        for function in {_LINE.sub(")", frame) for frame in frames}:
            within[function] += count
    parts = []
    for heading, counts in (("with all it calls", within), ("line by line, itself", itself)):
        parts.append(f"\n{heading}\n")
        parts += [f"{n / total:7.1%}  {name}\n" for name, n in counts.most_common(top)]
    return "".join(parts)
