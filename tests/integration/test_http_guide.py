"""docs/http.md: every example does what the page says, against an installation as `headrace up` makes it.

A `sh` or `python` block is followed by what it prints, in a `text` block, where `...` stands for anything.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.cli.localkafka import LocalKafka
from support.installation import Installation, installation

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"^```(sh|python)\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
)
SHELL = ("bash", "-euo", "pipefail", "-c")
PYTHON = (sys.executable, "-c")
WITHIN_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("guide")
    tenants = {"tenants": {"acme": {"inbox": True}}}
    async with installation(kafka.bootstrap, folder, overlay=tenants) as one:
        yield one


def placed(code: str, running: Installation) -> str:
    """The example at the addresses and names of this installation."""
    code = code.replace("http://127.0.0.1:8080", running.stack.ingress_url)
    code = code.replace("127.0.0.1:9092", running.bootstrap)
    prefix = running.topics.prefix
    return code.replace('"headrace.', f'"{prefix}').replace('"answers"', f'"{prefix}answers"')


def told(expected: str) -> re.Pattern[str]:
    """What is printed must match this as a whole; spaces at the end of lines do not count."""
    return re.compile(".*?".join(map(re.escape, expected.strip().split("..."))), re.DOTALL)


def test_every_example_says_what_it_prints() -> None:
    assert len(EXAMPLES) == len(re.findall(r"^```(?:sh|python)$", PAGE, re.MULTILINE)) > 10


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("language", "code", "expected"), EXAMPLES)
async def test_an_example_does_what_the_page_says(
    running: Installation, tmp_path: Path, language: str, code: str, expected: str
) -> None:
    command = (*(SHELL if language == "sh" else PYTHON), placed(code, running))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    printed = "\n".join(line.rstrip() for line in out.decode().splitlines()).strip()
    assert process.returncode == 0, f"{printed}\n{err.decode()}"
    assert told(expected).fullmatch(printed), printed
