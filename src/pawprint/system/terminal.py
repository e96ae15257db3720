"""Tables, durations and progress, for a person at a terminal and for everything else."""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}


def printable(text: str) -> str:
    """A name with escapes for what would steer a terminal, or end a line or a column."""
    return text.translate(_CONTROLS)


def can_print() -> bool:
    """Whether standard output takes what was printed so far."""
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def format_duration(seconds: float) -> str:
    """Seconds below a minute and a half, minutes below an hour and a half, hours above."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print rows of text: in colour and frames on a terminal, else aligned."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for column in header:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)
        return
    print(title)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    print()


def print_rows(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows, each with its columns' names, in frames on a terminal and elsewhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("status", "run") else "right")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@contextmanager
def pictures_bar(total: int | None) -> Generator[Callable[[int], object]]:
    """What is to be told how many pictures more are done; shows it where a person watches.

    Args:
        total: how many there will be, or None where that is not known.
    """
    if not watched():
        yield lambda _: None
        return
    from tqdm import tqdm  # here, because few runs need it

    class Bar(tqdm):
        monitor_interval = 0  # no thread beside this one, which would forbid to fork

    with Bar(total=total, unit=" pictures", dynamic_ncols=True) as bar:
        yield bar.update


def watched() -> bool:
    """Whether a person sees what goes to standard error as it comes."""
    return sys.stderr is not None and sys.stderr.isatty()
