"""The typed schema of the configuration: every key, its type and its range."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from pawprint.system.errors import UserError

# Keys that decide nothing of what a training of given pictures ends with.
LATER = ("folds", "gate", "sure_precision", "sweep")
ELSEWHERE = (*LATER, "images", "predict_images", "tracking")
CHOICES = ("augment", "gate", "growth", "model", "optimizer", "schedule", "tracking")


def one_of(*values: str) -> Any:
    """A field that must be given and is one of ``values``."""
    return field(default="???", metadata={"one of": values})


def within(
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field that must be given, at least ``low``, at most ``high``, ``above`` and ``below``."""
    bounds = {"at least": low, "above": above, "at most": high, "below": below}
    return field(default="???", metadata={k: v for k, v in bounds.items() if v is not None})


@dataclass
class Augment:
    """How a training picture is varied; every figure is a range drawn from uniformly."""

    name: str = "???"
    horizontal_flip: bool = False
    zoom: float = within(0, below=1)
    shear: float = within(0, below=1.5)
    rotation: float = within(0, 180)
    shift: float = within(0, below=1)
    scale_from: float = within(above=0, high=4)
    scale_to: float = within(above=0, high=4)
    colour: float = within(0, 1)
    cutout: float = within(0, below=1)
    mixup: float = within(0, 10)
    cutmix: float = within(0, 10)


@dataclass
class Gate:
    """What makes a challenger the champion; None is no limit.

    ``significance`` is of better, ``margin`` of not_worse; a megabyte is 1,000,000 bytes.
    """

    name: str = one_of("better", "not_worse", "always")
    significance: float | None = field(default=None, metadata={"above": 0, "at most": 0.05})
    margin: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    min_accuracy: float | None = field(default=None, metadata={"at least": 0, "at most": 1})
    max_megabytes: float | None = field(default=None, metadata={"above": 0, "below": math.inf})
    max_milliseconds: float | None = field(default=None, metadata={"above": 0, "below": math.inf})


@dataclass
class Growth:
    """Training picture sizes as shares of ``image_size``, one after the other.

    ``until`` says up to which share of the epochs each but the last is used.
    """

    name: str = "???"
    sizes: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)


@dataclass
class Model:
    """Which network, how wide its first block is, and its own depth where it has one.

    The rest is of ``transfer``: a network of `keras.applications`, its weights (imagenet, none, or
    a file), and the second phase, in which the last ``unfreeze`` of its layers learn too.
    """

    name: str = "???"
    depth: int | None = field(default=None, metadata={"at least": 1, "at most": 8})
    width: int | None = field(default=None, metadata={"at least": 1, "at most": 1024})
    backbone: str | None = None
    alpha: float | None = field(default=None, metadata={"above": 0, "at most": 4})
    weights: str | None = None
    unfreeze: float | None = field(default=None, metadata={"at least": 0, "at most": 1})
    head_epochs: int | None = field(default=None, metadata={"at least": 1})
    head_rate: float | None = field(default=None, metadata={"above": 0, "below": math.inf})


@dataclass
class Optimizer:
    """A Keras optimizer by its Keras name; what is None is left to Keras."""

    name: str = "???"
    learning_rate: float = within(above=0, below=math.inf)
    weight_decay: float | None = field(default=None, metadata={"at least": 0, "below": math.inf})
    momentum: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    nesterov: bool | None = None
    rho: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    beta_1: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    beta_2: float | None = field(default=None, metadata={"at least": 0, "below": 1})
    epsilon: float | None = field(default=None, metadata={"above": 0, "below": math.inf})


@dataclass
class Schedule:
    """How the learning rate moves during training."""

    name: str = "???"
    warmup_fraction: float = field(default=0.0, metadata={"at least": 0, "below": 1})
    final_fraction: float = field(default=0.0, metadata={"at least": 0, "at most": 1})


@dataclass
class Sweep:
    """How a sweep goes: ``fresh`` runs what is done once more, ``promote`` registers the winner."""

    fresh: bool = False
    promote: bool = False


@dataclass
class Tracking:
    """Where runs and models are recorded; ``uri`` None means the project's own store."""

    name: str = "???"
    uri: str | None = None
    experiment: str = "???"
    registered_model: str = "???"


@dataclass
class Config:
    """The whole configuration, as an entry point sees it.

    Values come from ``params.yaml``; the groups from the files of ``conf/`` that it chooses.
    """

    images: str = "???"
    predict_images: str = "???"
    image_size: int = within(8, 1024)
    resize: str = one_of("squash", "crop", "pad")
    validation_fraction: float = within(above=0, below=1)
    test_fraction: float = within(above=0, below=1)
    max_refused_fraction: float = within(0, 1)
    near_duplicates: bool = "???"
    seed: int = within(0, 2**32 - 1)
    depth: int = within(1, 8)
    width: int | None = within(1, 1024)
    dropout: float = within(0, below=1)
    dense_units: int = within(1, 65536)
    learning_rate: float | None = within(above=0, below=math.inf)
    epochs: int = within(1, 100_000)
    patience: int | None = within(1, 100_000)
    batch_size: int = within(1, 65536)
    steps_per_epoch: int | None = within(1)
    validation_steps: int | None = within(1)
    label_smoothing: float = within(0, below=1)
    ema: float = within(0, below=1)
    class_weights: str = one_of("none", "balanced")
    mirror: bool = "???"
    precision: str = one_of("auto", "float32", "bfloat16", "float16")
    folds: int = within(2, 20)
    sure_precision: float | None = within(above=0, high=1)
    augment: Augment = field(default_factory=Augment)
    gate: Gate = field(default_factory=Gate)
    growth: Growth = field(default_factory=Growth)
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    sweep: Sweep = field(default_factory=Sweep)
    tracking: Tracking = field(default_factory=Tracking)

    def flat(self) -> dict[str, Any]:
        """Every resolved parameter by its name on the command line, without the unset ones.

        A choice stands under its group's name (``optimizer: adam``), what it means below it
        (``optimizer.beta_1: 0.9``); ``learning_rate``, ``depth`` and ``width`` are those in force.
        """
        parameters: dict[str, Any] = {}
        for key, value in vars(self).items():
            if key == "sweep":  # no parameter of an experiment
                continue
            if key in CHOICES:
                parameters[key] = value.name
                details = {k: v for k, v in vars(value).items() if k != "name" and v is not None}
                parameters |= {f"{key}.{k}": v for k, v in details.items()}
            else:
                parameters[key] = value
        parameters |= {"learning_rate": self.rate, "depth": self.blocks, "width": self.filters}
        for key in ("optimizer.learning_rate", "model.depth", "model.width"):
            parameters.pop(key, None)
        return parameters

    def deciding(self) -> dict[str, Any]:
        """Those of ``flat`` that decide what a training of given pictures ends with."""
        return {k: v for k, v in self.flat().items() if k.split(".")[0] not in ELSEWHERE}

    @property
    def rate(self) -> float:
        """The learning rate in force: ``learning_rate``, or where it is null the optimizer's."""
        return self.optimizer.learning_rate if self.learning_rate is None else self.learning_rate

    @property
    def blocks(self) -> int:
        """The depth in force: the chosen network's own, or where it has none ``depth``."""
        return self.depth if self.model.depth is None else self.model.depth

    @property
    def frozen(self) -> bool:
        """Whether of a pretrained network the head alone learns."""
        return self.model.name == "transfer" and not self.model.unfreeze

    @property
    def filters(self) -> int | None:
        """The width in force: ``width``, or where it is null the chosen network's."""
        return self.model.width if self.width is None else self.width


def check(config: Config) -> None:
    """Refuse values out of range and values that do not fit together.

    Raises:
        UserError: names the key, its value and what it may be.
    """
    _check_ranges(config)
    for key in ("images", "predict_images"):
        if not getattr(config, key).strip():
            raise UserError(f"{key} is empty; give the path of a folder with pictures")
    for key in ("experiment", "registered_model"):
        if not getattr(config.tracking, key).strip():
            raise UserError(f"tracking.{key} is empty; give it a name")
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
    if config.schedule.name == "constant":
        for key in ("warmup_fraction", "final_fraction"):
            if getattr(config.schedule, key):
                raise UserError(
                    f"schedule.{key} is {getattr(config.schedule, key):g}, but schedule=constant "
                    "keeps one rate; leave it out or choose schedule=cosine or one_cycle"
                )
    if config.model.name == "transfer":
        for key in ("backbone", "weights", "unfreeze", "head_epochs", "head_rate"):
            if getattr(config.model, key) is None:
                raise UserError(
                    f"model.{key} has no value, which model=transfer needs; give one, as "
                    "conf/model/transfer.yaml does"
                )
    for rule, key in (("better", "significance"), ("not_worse", "margin")):
        if config.gate.name == rule and getattr(config.gate, key) is None:
            raise UserError(
                f"gate.{key} has no value, which gate={rule} needs; give one, as "
                f"conf/gate/{rule}.yaml does"
            )
    if config.model.name in ("article", "cnn", "resnet") and config.filters is None:
        raise UserError("model.width has no value; give one, or set width")


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
        value, key = getattr(node, f.name), f"{prefix}{f.name}"
        if is_dataclass(value):
            _check_ranges(value, f"{key}.")
        elif value == "???":  # taken away by ~key
            raise UserError(f"{key} has no value; give one")
        elif "one of" in f.metadata:
            if value not in f.metadata["one of"]:
                choices = ", ".join(f.metadata["one of"])
                raise UserError(f"{key} is {value}, but must be one of {choices}; change it")
        elif value is not None and f.metadata:
            bounds = f.metadata
            good = (
                value >= bounds.get("at least", value)
                and value <= bounds.get("at most", value)
                and not ("above" in bounds and not value > bounds["above"])
                and not ("below" in bounds and not value < bounds["below"])
            )
            if not good:
                words = " and ".join(f"{word} {bound}" for word, bound in bounds.items())
                raise UserError(f"{key} is {value}, but must be {words}; change it")
