"""`headrace ARGUMENTS...`: run, or only looked at."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

import typer
from typer.testing import CliRunner

from headrace.cli.main import build

WIDE = {"COLUMNS": "300"}


def parse_command(arguments: Sequence[str]) -> str:
    """The command that `arguments` name. Raises click's UsageError where they are wrong."""
    rest = list(arguments)
    command = typer.main.get_command(build(rest[0]))
    path = []
    while commands := getattr(command, "commands", None):
        path.append(rest.pop(0))
        command = commands[path[-1]]
    command.make_context(path[-1], rest).close()
    return " ".join(path)


async def headrace(*arguments: str) -> tuple[int, bytes, str]:
    """Run a command without a terminal; its exit code and what it wrote.

    In a thread of this process: a process of its own takes a second for its imports.
    """
    result = await asyncio.to_thread(
        CliRunner().invoke, build(arguments[0]), arguments, prog_name="headrace", env=WIDE
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout_bytes, result.stderr


async def headrace_process(*arguments: str) -> tuple[int, bytes, str]:
    """The same as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace.cli.main", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | WIDE,
    )
    printed, told = await process.communicate()
    return process.returncode or 0, printed, told.decode()
