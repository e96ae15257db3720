"""Filling the parts of a page, so that no value can become markup."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType


class Html(str):
    """Text that is markup already and stands as it is."""

    __slots__ = ()


_HERE = Path(__file__).parent

Value = str | int | float | Iterable[Html]


class Parts:
    """The parts of one page, in a file in which each begins at a comment that holds its name.

    Args:
        file: is read once, when the first part is drawn.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def draw(self, part: str, **values: Value) -> Html:
        """Fill a part.

        Args:
            part: Its name.
            values: For each of its fields. ``Html`` stands as it is, one after the other if there
                are several; a whole number gets its commas; text is escaped, and characters that
                cannot be seen, or that change the direction of what follows, are made visible.

        Raises:
            KeyError: No such part, or a field has no value.
        """
        filled = {name: _text(own) for name, own in values.items()}
        return Html(self._parts[part].format_map(filled))

    @functools.cached_property
    def _parts(self) -> Mapping[str, str]:
        content = self._file.read_text(encoding="utf-8")
        _, *pieces = re.split(r"^<!-- (\w+) -->\n", content, flags=re.MULTILINE)
        return MappingProxyType(dict(zip(pieces[::2], pieces[1::2], strict=True)))


def breakable(name: str) -> Html:
    """Escape a path, or text with one, so that it rather breaks after a slash than anywhere."""
    return Html(_text(name).replace("/", "/<wbr>"))


def breakable_key(name: str) -> Html:
    """Escape a key so that it rather breaks after its points and underscores."""
    return Html(breakable(name).replace("_", "_<wbr>").replace(".", ".<wbr>"))


def head(title: str, own_style: Html | str = "") -> Html:
    """Draw what a page begins with, up to its body: it loads nothing, and runs nothing.

    Args:
        title: Of the page.
        own_style: Rules of a style sheet beside those of all pages. Defaults to none.
    """
    own = Html(own_style)
    return Parts(_HERE / "page.html").draw("head", title=title, style=_style(), own=own)


def notes_card(notes: Iterable[str]) -> Html:
    """Draw sentences about what a person may not expect; nothing where there are none."""
    parts = Parts(_HERE / "page.html")
    lines = [parts.draw("note", text=note) for note in notes]
    return parts.draw("notes", notes=lines) if lines else Html()


def _style() -> Html:
    return Html((_HERE / "page.css").read_text(encoding="utf-8"))


def counted(count: int, one: str, many: str) -> str:
    """Write a count with the word for it: "1 file", "1,200 files"."""
    return f"{count:,} {one if count == 1 else many}"


def percent(part: int, whole: int) -> str:
    """Write a share; it never rounds up to all, nor down to none."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.0f} %" if part in (0, whole) else f"{min(share, 99.9):.1f} %"


def _text(value: Value) -> str:
    if isinstance(value, Html):
        return value
    if isinstance(value, str):
        return html.escape(value if value.isprintable() else "".join(map(_seen, value)))
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return "".join(value)


def _seen(character: str) -> str:
    if character in "\u200c\u200d":  # what joins emoji, and letters of some scripts
        return character
    if unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp"):
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
