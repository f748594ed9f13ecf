"""`headrace mock`: the scripted upstream as a process."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import yaml

from headrace.cli.mock.config import MockConfig, load_config
from headrace.cli.mock.script import parse_words
from headrace.cli.mock.upstream import MockUpstream

EXIT_CONFIG = 2
EXIT_LISTEN = 1


def mock(  # noqa: PLR0917  typer: one parameter an option
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = (
        "127.0.0.1:8091"
    ),
    config: Annotated[Path | None, typer.Option(help="YAML file, see docs/mock.md.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the failures.")] = None,
    script: Annotated[
        str, typer.Option(help="Words for every call: 'latency_ms=100;rate_5xx=0.1'.")
    ] = "",
    latency_ms: Annotated[float | None, typer.Option(help="Wait before the head.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens of an answer.")] = None,
    tokens_per_s: Annotated[float | None, typer.Option(help="Pace; 0 is at once.")] = None,
    rate_5xx: Annotated[float | None, typer.Option(help="Share of 5xx, 0 to 1.")] = None,
    rate_429: Annotated[float | None, typer.Option(help="Share of 429, 0 to 1.")] = None,
    rate_4xx: Annotated[float | None, typer.Option(help="Share of other 4xx.")] = None,
    retry_after: Annotated[str | None, typer.Option(help="Retry-After of errors.")] = None,
    max_failures: Annotated[int | None, typer.Option(help="Failures a request, at most.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="Limit a model.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Seats a model.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for the log of every call.")] = None,
) -> None:
    """Run a scripted OpenAI-compatible upstream; options win over the file."""
    options = {
        "latency_ms": latency_ms,
        "tokens": tokens,
        "tokens_per_s": tokens_per_s,
        "rate_5xx": rate_5xx,
        "rate_429": rate_429,
        "rate_4xx": rate_4xx,
        "retry_after": retry_after,
        "max_failures": max_failures,
        "requests_per_minute": requests_per_minute,
        "concurrency": concurrency,
    }
    words = {word: str(value) for word, value in options.items() if value is not None}
    try:
        host, port = parse_listen(listen)
        chosen = overlay(
            load_config(config) if config else MockConfig(),
            {**parse_words(script), **words},
            seed,
            log,
        )
    except (OSError, ValueError, yaml.YAMLError) as refused:
        _fail(f"mock: wrong configuration: {refused}", EXIT_CONFIG)
    try:
        _run(chosen, host, port)
    except OSError as refused:
        _fail(f"mock: cannot serve on {listen}: {refused}", EXIT_LISTEN)


def parse_listen(listen: str) -> tuple[str, int]:
    """Split `HOST:PORT` (an IPv6 host in brackets). Raises ValueError."""
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"--listen {listen!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def overlay(
    config: MockConfig, words: Mapping[str, str], seed: int | None, log: Path | None
) -> MockConfig:
    """`config` with what the command line says over it, checked again. Raises ValueError."""
    changed = {
        **config.model_dump(),
        "script": {**config.script, **words},
        **({} if seed is None else {"seed": seed}),
        **({} if log is None else {"log": log}),
    }
    return MockConfig.model_validate(changed)


async def serve_until_stopped(config: MockConfig, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; prints one line when it listens. Raises OSError."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, stopped.set)
    async with MockUpstream(config, host, port) as upstream:
        typer.echo(f"mock: listening on {upstream.url} (OpenAI base_url {upstream.base_url})")
        sys.stdout.flush()
        await stopped.wait()


def _run(config: MockConfig, host: str, port: int) -> None:
    if sys.platform == "win32":
        asyncio.run(serve_until_stopped(config, host, port))
    else:
        import uvloop

        uvloop.run(serve_until_stopped(config, host, port))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
