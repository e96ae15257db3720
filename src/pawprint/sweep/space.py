"""The space of a search: from Hydra's words to Optuna's distributions and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from pawprint.system.errors import UserError


def distributions(overrides: Sequence[Any]) -> dict[str, Any]:
    """Optuna's distributions of Hydra's parsed sweep words.

    ``choice(a,b)`` and ``a,b`` are categorical, ``range(1,5)`` whole numbers, ``interval(0,1)`` a
    stretch; ``tag(log,...)`` makes it logarithmic, ``int(interval(1,9))`` whole.

    Raises:
        UserError: a stretch is not one, or ends are not numbers.
    """
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep

    found: dict[str, Any] = {}
    for override in overrides:
        key, value = override.get_key_element(), override.value()
        try:
            if isinstance(value, IntervalSweep):
                whole = isinstance(value.start, int) and isinstance(value.end, int)
                kind = (
                    optuna.distributions.IntDistribution
                    if whole
                    else optuna.distributions.FloatDistribution
                )
                found[key] = kind(value.start, value.end, log="log" in value.tags)
            elif isinstance(value, RangeSweep) and not value.shuffle:
                found[key] = _range(value)
            else:
                words = list(override.sweep_string_iterator())
                found[key] = optuna.distributions.CategoricalDistribution(words)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"command line: {key}={override.get_value_string()} is no search space ({error}); "
                "give for example choice(a,b), range(1,5), interval(0,1) or "
                "tag(log,interval(1e-4,1e-1))"
            ) from None
    return found


def corners(space: Mapping[str, Any]) -> list[list[str]]:
    """Settings in which each value or end of each axis occurs, beside the others' first."""

    def ends(distribution: Any) -> list[str]:
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return list(distribution.choices)
        return [word_for(end, distribution) for end in (distribution.low, distribution.high)]

    first = {key: ends(distribution)[0] for key, distribution in space.items()}
    return [
        [f"{k}={v}" for k, v in (first | {key: end}).items()]
        for key, distribution in space.items()
        for end in ends(distribution)
    ]


def _range(value: Any) -> Any:
    step = value.step or 1
    numbers = (value.start, value.stop, step)
    if "log" in value.tags:
        raise ValueError("a logarithmic range; take tag(log,interval(low,high))")
    if all(isinstance(n, int) for n in numbers):
        last = value.start + (value.stop - 1 - value.start) // step * step
        return optuna.distributions.IntDistribution(value.start, last, step=step)
    # As Hydra's grid has it, the end is not part of it.
    count = 0
    while value.start + (count + 1) * step < value.stop - 1e-9 * abs(step):
        count += 1
    return optuna.distributions.FloatDistribution(
        value.start, value.start + count * step, step=step
    )


def word_for(value: Any, distribution: Any) -> str:
    """A suggested value as a person would write it."""
    if not isinstance(distribution, optuna.distributions.FloatDistribution):
        return str(value)
    short = f"{value:.5g}"
    return short if distribution.low <= float(short) <= distribution.high else repr(value)
