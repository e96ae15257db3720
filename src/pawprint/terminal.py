"""Tables for a person at a terminal, and as aligned text for everything else."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: list[list[str]]) -> None:
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
