"""How long steps tell what they are doing: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

PLAIN_STEPS = 4  # lines per download when there is no terminal


class Reporter(Protocol):
    """What a long step needs from whoever shows it."""

    def say(self, line: str) -> None:
        """Show one line."""

    def download(self, done: int, total: int) -> None:
        """Show how far a download is, in bytes; `done == total` ends it."""


class Silent:
    """Shows nothing; for tests and for steps inside of others."""

    def say(self, line: str) -> None:
        """Drop the line."""

    def download(self, done: int, total: int) -> None:
        """Drop the figure."""


class ConsoleReporter:
    """Writes to standard error, so that standard output stays for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_bar()

    def say(self, line: str) -> None:
        """Show one line."""
        self._console.print(line, markup=False, soft_wrap=True)

    def download(self, done: int, total: int) -> None:
        """Move the bar, or say each quarter once."""
        if self._console.is_terminal:
            self._move_bar(done, total)
        elif done * PLAIN_STEPS // total > self._told:
            self._told = done * PLAIN_STEPS // total
            self.say(f"  {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    def _move_bar(self, done: int, total: int) -> None:
        if self._bar is None:
            columns = TextColumn("  downloading"), BarColumn(), DownloadColumn()
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("download", total=total)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=done)
        if done >= total:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
