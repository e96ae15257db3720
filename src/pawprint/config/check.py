"""What the configuration's values may be, each alone and together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pawprint.config.schema import DESCRIPTION, ONE_OF, Config, Gate, Growth, Model, Schedule
from pawprint.system.errors import UserError


def check(config: Config) -> None:
    """Refuse values out of range and values that do not fit together.

    Raises:
        UserError: names the key, its value and what it may be.
    """
    _check_ranges(config)
    _check_texts(config)
    held_out = config.validation_fraction + config.test_fraction
    if held_out >= 1:
        raise UserError(
            f"validation_fraction + test_fraction is {held_out:g}, which leaves no picture "
            "for training; make them sum to less than 1"
        )
    if config.augment.scale_from > config.augment.scale_to:
        raise UserError(
            f"augment.scale_from is {config.augment.scale_from:g}, more than augment.scale_to "
            f"({config.augment.scale_to:g}); make it the smaller one"
        )
    _check_growth(config.growth)
    _check_schedule(config.schedule)
    needs = ("backbone", "weights", "unfreeze", "head_epochs", "head_rate")
    _check_needs("model", config.model, "transfer", needs)
    _check_needs("gate", config.gate, "better", ("significance",))
    _check_needs("gate", config.gate, "not_worse", ("margin",))
    if config.model.name in ("article", "cnn", "resnet") and config.filters is None:
        raise UserError("model.width has no value; give one, or set width")


def _check_texts(config: Config) -> None:
    for key in ("images", "predict_images"):
        if not getattr(config, key).strip():
            raise UserError(f"{key} is empty; give the path of a folder with pictures")
    for key in ("experiment", "registered_model"):
        if not getattr(config.tracking, key).strip():
            raise UserError(f"tracking.{key} is empty; give it a name")


def _check_needs(group: str, chosen: Model | Gate, name: str, keys: tuple[str, ...]) -> None:
    """Refuse a choice called ``name`` that lacks a value for one of ``keys``."""
    missing = [key for key in keys if getattr(chosen, key) is None]
    if chosen.name == name and missing:
        raise UserError(
            f"{group}.{missing[0]} has no value, which {group}={name} needs; give one, as "
            f"conf/{group}/{name}.yaml does"
        )


def _check_schedule(schedule: Schedule) -> None:
    for key in ("warmup_fraction", "final_fraction"):
        if schedule.name == "constant" and getattr(schedule, key):
            raise UserError(
                f"schedule.{key} is {getattr(schedule, key):g}, but schedule=constant keeps one "
                "rate; leave it out or choose schedule=cosine or one_cycle"
            )


def _check_growth(growth: Growth) -> None:
    sizes, until = growth.sizes, growth.until
    if not sizes or any(not 0 < size <= 1 for size in sizes):
        raise UserError(
            f"growth.sizes is {sizes}, but must be shares of image_size above 0 and at most 1; "
            "give one or more"
        )
    if list(sizes) != sorted(sizes):
        raise UserError(
            f"growth.sizes is {sizes}, but pictures only grow; put the smaller shares first"
        )
    rising = all(a < b for a, b in zip([0.0, *until], [*until, 1.0], strict=True))
    if len(until) != len(sizes) - 1 or not rising:
        raise UserError(
            f"growth.until is {until}, but must be {len(sizes) - 1} rising shares of the epochs "
            "between 0 and 1, one for each size but the last; change it"
        )


def _check_ranges(node: Any, prefix: str = "") -> None:
    for f in fields(node):
        value, name = getattr(node, f.name), f"{prefix}{f.name}"
        if is_dataclass(value):
            _check_ranges(value, f"{name}.")
        elif value == "???":  # taken away by ~key
            raise UserError(f"{name} has no value; give one")
        elif value is not None and not _is_allowed(value, f.metadata):
            raise UserError(f"{name} is {value}, but must be {in_words(f.metadata)}; change it")


def _is_allowed(value: Any, limits: Mapping[str, Any]) -> bool:
    return (
        value in limits.get(ONE_OF, [value])
        and value >= limits.get("at least", value)
        and value <= limits.get("at most", value)
        and not ("above" in limits and not value > limits["above"])
        and not ("below" in limits and not value < limits["below"])
    )


def in_words(limits: Mapping[str, Any]) -> str:
    """What a key may be by its metadata, as "at least 0 and below 1"; empty for anything."""
    if ONE_OF in limits:
        return f"one of {', '.join(limits[ONE_OF])}"
    return " and ".join(f"{word} {bound}" for word, bound in limits.items() if word != DESCRIPTION)
