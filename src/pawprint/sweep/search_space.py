"""The space of a search: from Hydra's words to Optuna's distributions and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pawprint.system.errors import UserError


def distributions(overrides: Sequence[Override]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of Hydra's parsed sweep words.

    ``choice(a,b)`` and ``a,b`` are categorical, ``range(1,5)`` whole numbers, ``interval(0,1)`` a
    stretch; ``tag(log,...)`` makes it logarithmic, ``int(interval(1,9))`` whole.

    Raises:
        UserError: a stretch is not one, or ends are not numbers.
    """
    found: dict[str, BaseDistribution] = {}
    for override in overrides:
        key, value = override.get_key_element(), override.value()
        try:
            if isinstance(value, IntervalSweep):
                found[key] = _interval(value.start, value.end, log="log" in value.tags)
            elif isinstance(value, RangeSweep) and not value.shuffle:
                found[key] = _range(value)
            else:
                found[key] = CategoricalDistribution(list(override.sweep_string_iterator()))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"command line: {key}={override.get_value_string()} is no search space ({error}); "
                "give for example choice(a,b), range(1,5), interval(0,1) or "
                "tag(log,interval(1e-4,1e-1))"
            ) from None
    return found


def _interval(low: Any, high: Any, *, log: bool) -> BaseDistribution:
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _range(value: RangeSweep) -> BaseDistribution:
    start, stop, step = value.start, value.stop, value.step or 1
    if "log" in value.tags:
        raise ValueError("a logarithmic range; take tag(log,interval(low,high))")
    if start is None or stop is None:
        raise ValueError("a range without both ends")
    # As Hydra's grid has it, the end is not part of it.
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return IntDistribution(start, start + (stop - 1 - start) // step * step, step=step)
    count = 0
    while start + (count + 1) * step < stop - 1e-9 * abs(step):
        count += 1
    return FloatDistribution(start, start + count * step, step=step)


def corners(space: Mapping[str, BaseDistribution]) -> list[list[str]]:
    """Settings in which each value or end of each axis occurs, beside the others' first."""

    def ends(distribution: Any) -> list[str]:
        if isinstance(distribution, CategoricalDistribution):
            return [str(choice) for choice in distribution.choices]
        return [word_for(end, distribution) for end in (distribution.low, distribution.high)]

    first = {key: ends(distribution)[0] for key, distribution in space.items()}
    return [
        [f"{k}={v}" for k, v in (first | {key: end}).items()]
        for key, distribution in space.items()
        for end in ends(distribution)
    ]


def word_for(value: Any, distribution: BaseDistribution) -> str:
    """A suggested value as a person would write it."""
    if not isinstance(distribution, FloatDistribution):
        return str(value)
    short = f"{value:.5g}"
    return short if distribution.low <= float(short) <= distribution.high else repr(value)
