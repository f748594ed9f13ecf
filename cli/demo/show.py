"""Showing a run while it goes on: a live table on a terminal, plain lines elsewhere."""

import asyncio
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from headrace.cli.demo.view import Snapshot, events, line, table

REFRESH_S = 0.25
LINE_EVERY_S = 2.0


async def show(console: Console, look: Callable[[], Snapshot]) -> None:
    """Show what `look` gives until cancelled, and then once more."""
    if console.is_terminal:
        await _show_table(console, look)
    else:
        await _print_lines(console, look)


async def _show_table(console: Console, look: Callable[[], Snapshot]) -> None:
    with Live(table(look()), console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(table(look()), refresh=True)
                await asyncio.sleep(REFRESH_S)
        finally:
            live.update(table(look()), refresh=True)


async def _print_lines(console: Console, look: Callable[[], Snapshot]) -> None:
    """A line every two seconds, and one for each event."""
    told: set[str] = set()
    due_s = 0.0
    try:
        while True:
            seen = look()
            _print_events(console, seen, told)
            if seen.elapsed_s >= due_s:
                due_s = seen.elapsed_s + LINE_EVERY_S
                console.print(line(seen), markup=False, soft_wrap=True)
            await asyncio.sleep(REFRESH_S)
    finally:
        seen = look()
        _print_events(console, seen, told)
        console.print(line(seen), markup=False, soft_wrap=True)


def _print_events(console: Console, seen: Snapshot, told: set[str]) -> None:
    """Tell what is new. The count of cut calls settles within moments after the kill."""
    for event in events(seen) if seen.cut else []:
        if event not in told:
            told.add(event)
            console.print(f"       {event}", markup=False, soft_wrap=True)
