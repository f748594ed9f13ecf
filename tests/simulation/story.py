"""What happens in one run, drawn from its seed before it begins: requests, what the model does, faults."""

import random
from enum import StrEnum

import msgspec
from simulation.upstream import Step

from headrace.dispatcher.ports import Break
from headrace.schemas.config.model import Config
from headrace.schemas.headers import H
from headrace.schemas.names import LaneName

ARRIVAL_S = 20.0
FAULTS_S = 40.0
"""No fault begins later."""
DEADLINE_S = 150.0
END_S = FAULTS_S + DEADLINE_S + 120.0
"""By then all must have ended, whatever happened."""


class Fault(StrEnum):
    """What can go wrong."""

    KILL = "kill"
    KILL_AT_WRITE = "kill_at_write"
    """Killed in the instant in which the broker has a record of it."""
    FREEZE = "freeze"
    ROLL = "roll"
    """SIGTERM, and another in its place."""
    JOIN = "join"
    OUTAGE = "outage"


class Request(msgspec.Struct, frozen=True):
    """One request of a producer's own."""

    id: str
    at_s: float
    stream: bool
    job: bool
    script: list[Step]
    cancel_at_s: float | None = None
    deadline_s: float | None = None
    not_before_s: float | None = None
    poison: bool = False
    tenant: str = ""


class Strike(msgspec.Struct, frozen=True):
    """One fault; `lasts_s` until it is healed, `number` chooses whom it meets."""

    at_s: float
    fault: Fault
    lasts_s: float
    number: int


class Story(msgspec.Struct, frozen=True):
    """One run."""

    seed: int
    dispatchers: int
    partitions: int
    requests: list[Request]
    strikes: list[Strike]
    lane: LaneName = LaneName("standard")
    orderly: bool = False
    """Nobody is taken for dead in it, so that no wait may be cut short."""
    seats: int = 8
    room: int = 2_000
    window: int = 16_384


def draw(seed: int) -> Story:
    """The story of a seed."""
    rng = random.Random(seed)
    calm = rng.random() < 0.2
    faults = [] if calm else [_strike(rng) for _ in range(rng.randint(1, 5))]
    return Story(
        seed,
        dispatchers=rng.randint(1, 3),
        partitions=rng.randint(1, 4),
        requests=[_request(rng, number) for number in range(rng.randint(10, 30))],
        strikes=sorted(faults, key=lambda one: one.at_s),
    )


def rolled(seed: int) -> Story:
    """A process is replaced while many requests wait as their deployments asked."""
    throttled = [Step(0.05, 429, retry_after_s=1)] * 6
    return Story(
        seed,
        dispatchers=2,
        partitions=2,
        requests=[
            Request(f"r{number}", 4 + number / 10, False, False, [*throttled, Step(0.05)])
            for number in range(30)
        ],
        strikes=[Strike(6 + seed / 10, Fault.ROLL, 1.0, seed)],
        orderly=True,
    )


def crowded(seed: int) -> Story:
    """Many requests of one tenant that wait for long, and behind them one of another."""
    rng = random.Random(seed)
    many = [
        Request(f"m{number}", 4.0, False, False, [Step(2.5)], deadline_s=300, tenant="many")
        for number in range(150)
    ]
    few = Request("few", 5.0, False, False, [Step(2.5)], deadline_s=300, tenant="few")
    strikes = [_strike(rng) for _ in range(seed % 3)]
    return Story(seed, 1, 1, [*many, few], strikes, orderly=not strikes, seats=1, room=40)


def _request(rng: random.Random, number: int) -> Request:
    at_s = rng.uniform(3.0, ARRIVAL_S)
    special = rng.random()
    return Request(
        id=f"r{number}",
        at_s=at_s,
        stream=rng.random() < 0.25,
        job=rng.random() < 0.3,
        script=_script(rng),
        cancel_at_s=at_s + rng.uniform(-1, 5) if special < 0.08 else None,
        deadline_s=at_s + rng.uniform(0.5, 8) if 0.08 <= special < 0.16 else None,
        not_before_s=at_s + rng.uniform(0.5, 40) if 0.16 <= special < 0.24 else None,
        poison=0.24 <= special < 0.28,
    )


def _script(rng: random.Random) -> list[Step]:
    """Some calls that fail, then one that does not, or never one that does not."""
    steps = [_failing(rng) for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 6)))]
    last = 200 if rng.random() < 0.9 else 400
    return [*steps, Step(_seconds(rng), last, chunks=rng.randint(0, 5))]


def _failing(rng: random.Random) -> Step:
    seconds = _seconds(rng)
    match rng.randrange(6):
        case 0:
            return Step(seconds, 429, retry_after_s=rng.choice((1, 3, 14)))
        case 1:
            return Step(0.01, 0, broken=Break.NOT_SENT)
        case 2:
            return Step(seconds, 0, broken=Break.NO_ANSWER)
        case 3:
            return Step(seconds, 0, broken=Break.STREAM_BROKEN, chunks=rng.randint(0, 3))
        case _:
            return Step(seconds, rng.choice((500, 503)))


def _seconds(rng: random.Random) -> float:
    return rng.choice((rng.uniform(0.02, 0.3), rng.uniform(0.3, 3.0), rng.uniform(3.0, 25.0)))


def _strike(rng: random.Random) -> Strike:
    fault = rng.choice(list(Fault))
    lasts = {Fault.OUTAGE: (0.5, 8.0), Fault.FREEZE: (1.0, 25.0)}.get(fault, (0.2, 8.0))
    return Strike(rng.uniform(2.0, FAULTS_S), fault, rng.uniform(*lasts), rng.randrange(1000))


def configuration(story: Story) -> Config:
    """The installation of a story: one lane, two deployments."""
    upstream = {"base_url": "http://127.0.0.1:1/v1"}
    return Config.model_validate(
        {
            "development": True,
            "kafka": {
                "topic_prefix": "s.",
                "partitions": {
                    "requests": story.partitions,
                    "delay": 1,
                    "replies": 1,
                    "control": 1,
                    "dead_letters": 1,
                    "events": 1,
                },
            },
            "dispatcher": {
                "drain_s": 20,
                "read_ahead_records": story.room,
                "partition_window": story.window,
            },
            "lanes": {"standard": {"deadline_s": DEADLINE_S}},
            "deployments": [
                {
                    "name": name,
                    "model": "m",
                    "upstream": upstream,
                    "limits": {"process_concurrency": story.seats},
                }
                for name in ("east", "west")
            ],
        }
    )


def headers_of(request: Request, epoch_ms: int, now_s: float) -> list[tuple[str, bytes]]:
    """Headers as its producer writes them; `epoch_ms` is the broker's time at `now_s`."""

    def at(moment_s: float) -> bytes:
        return b"%d" % (epoch_ms + round((moment_s - now_s) * 1000))

    headers = [(H.ID.value, request.id.encode()), (H.STREAM.value, b"%d" % request.stream)]
    if request.job:
        headers += [(H.KIND.value, b"job"), (H.REPLY_TOPIC.value, b"s.results")]
        headers += [(H.REPLY_PARTITION.value, b"0")]
    else:
        headers += [(H.REPLY_TOPIC.value, b"out")]
    if request.tenant:
        headers.append((H.TENANT.value, request.tenant.encode()))
    if request.deadline_s is not None:
        headers.append((H.DEADLINE_MS.value, at(request.deadline_s)))
    if request.not_before_s is not None:
        headers.append((H.NOT_BEFORE_MS.value, at(request.not_before_s)))
    return headers
