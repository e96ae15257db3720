"""Seconds as a person says them."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """Seconds below a minute and a half, minutes below an hour and a half, hours above."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
