"""Descriptions in MLflow: ours are written anew, and never over those of a person."""

import hashlib
import re

_SIGNED = re.compile(
    r"(?P<text>.*)\n\n_Written by pawprint \((?P<digest>[0-9a-f]{8})\); an edited description "
    r"stays as it is\._\n?",
    re.DOTALL,
)


def signed(text: str) -> str:
    """The text, Markdown, with a last line by which it is known as ours, and unchanged."""
    last = f"_Written by pawprint ({_digest(text)}); an edited description stays as it is._"
    return f"{text}\n\n{last}"


def may_replace(description: str | None) -> bool:
    """Whether there is no description, or one of ours as we wrote it."""
    match = _SIGNED.fullmatch(description or "")
    return not (description or "").strip() or (
        match is not None and match["digest"] == _digest(match["text"])
    )


def _digest(text: str) -> str:
    # The store may give other line ends back, and white space at an end is no edit.
    return hashlib.sha256("\n".join(text.split()).encode()).hexdigest()[:8]
