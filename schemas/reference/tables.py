"""The references of headers, errors and topics, as Markdown tables."""

from collections.abc import Iterable, Iterator

from headrace.schemas.config.errors import EX_CONFIG, ProblemCode
from headrace.schemas.config.model import Config
from headrace.schemas.errors import CATALOGUE
from headrace.schemas.headers import ALIASES, MEANING, H
from headrace.schemas.reference.messages import MESSAGES, Message
from headrace.schemas.topics import DAY_MS, HOUR_MS, TopicSpec, topic_specs

NOTICE = "<!-- Made by `python -m headrace.schemas.generate`; do not edit. -->"


def headers_page() -> str:
    """Every header: what it means and on which messages it stands."""
    rows = ((f"`{name}`", _stands(name), meaning) for name, meaning in MEANING.items())
    aliases = ((f"`{alias}`", f"`{name}`") for alias, name in ALIASES.items())
    return page(
        "Record headers",
        "Values are UTF-8 text without control characters, each header at most once. Headers that",
        "are not named here are kept and ignored. *Bold: always there.*",
        "",
        *table(("header", "on", "meaning"), rows),
        "",
        "## Names of other clients that are read as well",
        "",
        *table(("header", "read as"), aliases),
        "",
        "`kafka_replyPartition` may be a 4-byte big-endian integer, as Spring writes it.",
    )


def _stands(name: H) -> str:
    on = [_mark(message, name) for message in MESSAGES if name in message.headers]
    return ", ".join(on)


def _mark(message: Message, name: H) -> str:
    return f"**{message.name}**" if name in message.required else message.name


def errors_page() -> str:
    """The catalogue of errors, and the codes of a configuration's problems."""
    rows = (
        (
            f"`{code}`",
            str(spec.status),
            f"`{spec.openai_type}`",
            f"`{spec.anthropic_type}`",
            "yes" if spec.retryable else "no",
            spec.what_to_do,
        )
        for code, spec in CATALOGUE.items()
    )
    return page(
        "Errors",
        "Errors that Headrace itself answers with. The code never changes its meaning; an upstream's",
        "own errors come through as they are. *Again*: whether the same request may succeed later,",
        "sent as `x-should-retry`.",
        "",
        *table(("code", "status", "OpenAI type", "Anthropic type", "again", "what to do"), rows),
        "",
        "## Problems of a configuration",
        "",
        f"A process that cannot use its configuration ends with exit code {EX_CONFIG} and prints every",
        "problem as `file:line: path.to.key: message`. Codes: "
        + ", ".join(f"`{code}`" for code in ProblemCode)
        + ".",
    )


def topics_page() -> str:
    """Every topic of an installation with the default lanes."""
    first, *others = (f".{lane}" for lane in default_config().lanes)
    rows = (
        (
            f"`{spec.name.replace(first, '.<lane>')}`",
            str(spec.partitions),
            _kept(spec),
            _record_limit(spec),
            _about(spec.name),
        )
        for spec in topic_specs(default_config())
        if not any(lane in spec.name for lane in others)
    )
    return page(
        "Topics",
        "With the default configuration; `headrace topics plan` shows yours. What lanes keep is the",
        "longest deadline and a day, at least two days. All have the broker's append time. Those that",
        "keep the last of each key have `cleanup.policy=compact`, segments of 10 minutes, and are compacted",
        "within 30; the others have segments of a twelfth of what is kept.",
        "",
        *table(("topic", "partitions", "kept", "longest record", "what"), rows),
    )


def _kept(spec: TopicSpec) -> str:
    if spec.config["cleanup.policy"] == "compact":
        return "last of each key"
    kept_ms = int(spec.config["retention.ms"])
    return f"{kept_ms // DAY_MS} d" if kept_ms >= DAY_MS else f"{kept_ms // HOUR_MS} h"


def _record_limit(spec: TopicSpec) -> str:
    limit = spec.config.get("max.message.bytes")
    return f"{int(limit) / 1024:.0f} KiB" if limit else "broker's default"


_ABOUT = {
    "requests": "requests of a lane, spread by tenant",
    "delay": "requests that wait for their next attempt, by request id",
    "journal": "who did what to which offset of the topic of the same name",
    "dead-letters": "requests that cannot succeed, with their history, by request id",
    "replies": "chunks and answers, on the partition of the ingress process that waits",
    "results": "answers of jobs, keyed and resumable requests, on the waiter's partition or by id",
    "status": "states of jobs, keyed and resumable requests; the first terminal state counts",
    "claims": "who was first with an idempotency key",
    "inbox": "requests of one tenant that has no right on the lanes",
    "control": "cancels, by request id",
    "fleet": "every process beats here once a second",
    "limits.reports": "what dispatchers have spent and wait for, several times a second each",
    "limits.grants": "what the governor lets them spend, and its own beats; the order decides",
    "limits.outlook": "limits, what is used of them, and who waits how long; once a second",
    "settings": "what operators have set: pauses, changed limits, forced breakers",
    "breakers": "each deployment's breaker as its owner says, and how it came to that",
    "events": "one record per attempt and terminal state, by tenant; no prompt text",
}


def _about(topic: str) -> str:
    name = topic.removeprefix(default_config().kafka.topic_prefix)
    return _ABOUT[name if name in _ABOUT else name.partition(".")[0]]


def default_config() -> Config:
    """A configuration that says no more than it must."""
    upstream = {"base_url": "https://api.example.com/v1"}
    deployment = {"name": "example", "model": "example", "upstream": upstream}
    return Config.model_validate({"deployments": [deployment]})


def page(title: str, *lines: str) -> str:
    """A Markdown page."""
    return "\n".join((f"# {title}", "", NOTICE, "", *lines, ""))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield _row(head)
    yield _row(("---",) * len(head))
    yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
