"""Fill the Jinja templates of pages and Markdown: no value can become markup; small JPEGs for them.

Templates stand beside the code that fills them and are named by their place in the package, as in
``{% extends "pages/base.html" %}``. Jinja is imported with the first page, not with this module.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import re
import unicodedata
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Fill a template.

    In all templates a whole number gets its commas, and text is escaped; in text, characters that
    cannot be seen, or that change the direction of what follows, are made visible.

    Args:
        template: its path in the package, "suspects/page.html".
        values: its variables.

    Returns:
        The HTML, which can be written as UTF-8 whatever the values are.

    Raises:
        jinja2.UndefinedError: the template uses a variable that has no value.
    """
    return _environment().get_template(template).render(**values)


def render_markdown(template: str, **values: Any) -> str:
    """Fill a template of Markdown; see ``render``. A value stands within a line or a table's cell.

    Returns:
        Markdown in which no character of a value means anything, in GitHub's dialect or MLflow's.

    Raises:
        jinja2.UndefinedError: the template uses a variable that has no value.
    """
    return _markdown_environment().get_template(template).render(**values)


@functools.cache
def _markdown_environment() -> Environment:
    return _environment().overlay(autoescape=False, finalize=_in_markdown)


def _in_markdown(value: Any) -> Any:
    written = _written(value)
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return written
    entities = re.sub(r"[&<>|]", lambda found: f"&#{ord(found[0])};", written)
    return re.sub(r"([\\`*_\[\]~])", r"\\\1", entities)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pawprint", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_written,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for of_values in (counted, percent, points, shortened):
        environment.filters[of_values.__name__] = of_values
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.globals["script"] = _script
    environment.filters["breakable"] = functools.partial(_breakable, after="/")
    environment.filters["breakable_key"] = functools.partial(_breakable, after="/_.")
    return environment


@functools.cache
def _script() -> dict[str, Markup]:
    """The script that pages may hold, and the word by which a policy knows it from all others."""
    from markupsafe import Markup

    content = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return {"content": Markup(content), "hash": Markup(f"'sha256-{digest}'")}


def counted(count: int, one: str, many: str) -> str:
    """Write a count with the word for it: "1 file", "1,200 files"."""
    return f"{count:,} {one if count == 1 else many}"


def percent(part: int, whole: int) -> str:
    """Write a share; it never rounds up to all, nor down to none."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.0f} %" if part in (0, whole) else f"{min(share, 99.9):.1f} %"


def points(share: float) -> str:
    """Write a share of 0 to 1 as "93.8 %"."""
    return f"{100 * share:.1f} %"


def shortened(text: str, most: int, *, middle: bool = False) -> str:
    """Cut a long text: its beginning, or its middle, becomes an ellipsis.

    Args:
        text: of any length.
        most: characters that are kept.
        middle: whether the beginning is kept too. Defaults to False.
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-half:]}" if middle else f"… {text[-most:]}"


def _written(value: Any) -> Any:
    """What stands in the page for a value, before Jinja escapes it; markup stays as it is."""
    if isinstance(value, str):
        if value.isprintable() or hasattr(value, "__html__"):
            return value
        return "".join(map(_visible, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else value


def _visible(character: str) -> str:
    if character in "\u200c\u200d":  # what joins emoji, and letters of some scripts
        return character
    if unicodedata.category(character) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp"):
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _breakable(text: str, after: str) -> Markup:
    """Let a line break after these characters rather than anywhere; not for use in attributes."""
    from markupsafe import Markup, escape

    escaped = str(escape(_written(text)))
    for character in after:
        escaped = escaped.replace(character, f"{character}<wbr>")
    return Markup(escaped)


def link_from(folder: Path, file: Path | str) -> str:
    """The address of a file, whatever characters its name has, to stand in a page of ``folder``.

    It is relative for files of the same project, so that it holds where that is moved or cloned,
    and a file URL for others. The project is what ``folder`` lies in, as in `reports/prepare`.
    """
    folder, file = Path(folder).absolute(), Path(file).absolute()
    if not file.is_relative_to(folder.parent.parent):
        return file.as_uri()
    return urllib.parse.quote(os.fsencode(os.path.relpath(file, folder)))


def jpeg_of(picture: Image.Image | np.ndarray, side: int = 160) -> bytes:
    """A small JPEG.

    Args:
        picture: RGB; an array is uint8 (height, width, 3), and a Pillow image may be scaled.
        side: pixels that it is at most wide and high. Defaults to 160.
    """
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return content.getvalue()
