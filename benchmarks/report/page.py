"""A generated part of a hand-written page: what stands between two markers. Pure."""


def begin(name: str) -> str:
    """The marker before it."""
    return f"<!-- {name}: begin -->"


def end(name: str) -> str:
    """The marker behind it."""
    return f"<!-- {name}: end -->"


def with_part(page: str, name: str, text: str) -> str:
    """`page` with `text` between the markers of `name`.

    Raises `ValueError` when the page has no such markers.
    """
    before, opened, rest = page.partition(begin(name))
    _, closed, after = rest.partition(end(name))
    if not opened or not closed:
        raise ValueError(f"the page has no markers for its part {name}")
    return f"{before}{opened}\n\n{text}\n{closed}{after}"


def as_markdown(*lines: tuple[str, ...]) -> str:
    """A table, the headings first."""
    headings, *rows = lines
    ruled = [headings, tuple("---" for _ in headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in ruled)
