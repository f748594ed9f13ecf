"""The prompts of a demo: one JSON object a line, see examples/prompts.jsonl."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

IMPOSSIBLE = "demo-impossible"
"""The model whose upstream always answers 500: its request is planted to be dead-lettered."""


class PromptsError(ValueError):
    """The file of prompts cannot be used; the message says why."""


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request to send."""

    endpoint: Literal["chat/completions", "completions", "embeddings"]
    lane: str
    stream: bool
    client: Literal["sync", "async"]
    body: dict[str, object]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.body.get("model", ""))


def default_path() -> Path:
    """The examples of a clone, beside the packages."""
    return Path(__file__).parents[2] / "examples" / "prompts.jsonl"


def read_prompts(path: Path) -> list[Prompt]:
    """Read a file of prompts. Raises PromptsError."""
    decoder = msgspec.json.Decoder(Prompt)
    try:
        return [decoder.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        hint = "run the demo from a clone of the repository, or name a file with --prompts"
        raise PromptsError(f"cannot read {path} ({error.strerror}): {hint}") from error
    except msgspec.MsgspecError as error:
        raise PromptsError(f"{path} has a line that is no prompt: {error}") from error


def choose(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """`count` of them, spread evenly, the impossible ones always among them."""
    if count > len(prompts):
        raise PromptsError(f"there are {len(prompts)} prompts, {count} were asked for")
    planted = [prompt for prompt in prompts if prompt.model == IMPOSSIBLE]
    others = [prompt for prompt in prompts if prompt.model != IMPOSSIBLE]
    wanted = count - len(planted)
    if wanted < 0 or not planted:
        raise PromptsError(f"{len(planted)} of the prompts ask for {IMPOSSIBLE}, {count} are sent")
    chosen = [others[i * len(others) // wanted] for i in range(wanted)]
    middle = len(chosen) // 2
    return [*chosen[:middle], *planted, *chosen[middle:]]
