"""The typed schema of the configuration: every key, what it says, its type and its range."""

import math
from dataclasses import dataclass, field
from typing import Any

# Keys that decide nothing of what a training of given pictures ends with.
LATER = ("folds", "gate", "sure_precision", "sweep")
ELSEWHERE = (*LATER, "images", "predict_images", "recipe", "tracking", "unlabelled")
# Keys that decide which pictures there are, and how they look: of what was prepared.
PREPARED = (
    "images",
    "image_size",
    "resize",
    "validation_fraction",
    "test_fraction",
    "splits",
    "max_refused_fraction",
    "max_megapixels",
    "near_duplicates",
    "unlabelled",
)
# Keys that a network does not read.
UNREAD = {
    "cnn": ("dense_units",),
    "resnet": ("dense_units",),
    "transfer": ("depth", "width"),
}
OF_TRANSFER = {
    f"model.{key}"
    for key in (
        "backbone",
        "alpha",
        "weights",
        "pixels",
        "scale",
        "offset",
        "unfreeze",
        "first_layer_rate",
        "head_epochs",
        "head_rate",
    )
}
CHOICES = ("augment", "gate", "growth", "model", "optimizer", "schedule", "tracking")
DESCRIPTION, ONE_OF = "description", "one of"  # what metadata of a key has beside its bounds


def key(
    description: str,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    one_of: tuple[str, ...] | None = None,
    default: Any = "???",
) -> Any:
    """A key of the configuration: what the help says of it, and what it may be.

    ``low`` and ``high`` belong to its range, ``above`` and ``below`` do not. Without a ``default``
    a file must give it.
    """
    limits = {"at least": low, "above": above, "at most": high, "below": below, ONE_OF: one_of}
    metadata = {DESCRIPTION: description} | {k: v for k, v in limits.items() if v is not None}
    return field(default=default, metadata=metadata)


def says(description: str) -> dict[str, str]:
    """What a person reads of a group of keys, or of a list, in the help."""
    return {DESCRIPTION: description}


@dataclass
class Augment:
    """How a training picture is varied; every figure is a range drawn from uniformly."""

    name: str = key("what it is called")
    horizontal_flip: bool = key("whether half of the pictures are mirrored", default=False)
    zoom: float = key("width and height, each times 1 - zoom to 1 + zoom", 0, below=1)
    shear: float = key("angle in radians, to either side", 0, below=1.5)
    rotation: float = key("degrees to either side", 0, 180)
    shift: float = key("share of the side, in each direction", 0, below=1)
    scale_from: float = key("nearest: the share of the side that is shown", above=0, high=4)
    scale_to: float = key("farthest: the share of the side that is shown", above=0, high=4)
    colour: float = key("brightness, contrast and saturation, share more or less", 0, 1)
    cutout: float = key("side of a grey square, as a share of the picture's", 0, below=1)
    mixup: float = key("alpha of the Beta distribution of a second picture's share", 0, 10)
    cutmix: float = key("alpha of the Beta distribution of a pasted part's share", 0, 10)


@dataclass
class Gate:
    """What makes a challenger the champion; None is no limit.

    ``significance`` is of better, ``margin`` of not_worse; a megabyte is 1,000,000 bytes.
    """

    name: str = key("the rule", one_of=("better", "not_worse", "always"))
    significance: float | None = key("of better: largest p-value", above=0, high=0.05, default=None)
    margin: float | None = key("of not_worse: accuracy it may lack", 0, below=1, default=None)
    min_accuracy: float | None = key("least test accuracy", 0, 1, default=None)
    max_megabytes: float | None = key("largest model.onnx", above=0, below=math.inf, default=None)
    max_milliseconds: float | None = key(
        "longest time for one picture alone, on this machine", above=0, below=math.inf, default=None
    )


@dataclass
class Growth:
    """Training picture sizes as shares of ``image_size``, one after the other.

    ``until`` says up to which share of the epochs each but the last is used.
    """

    name: str = key("what it is called")
    sizes: list[float] = field(default_factory=list, metadata=says("shares of image_size, rising"))
    until: list[float] = field(
        default_factory=list,
        metadata=says("share of the epochs until which each, but the last, is used"),
    )


@dataclass
class Model:
    """Which network, how wide its first block is, and its own depth where it has one.

    The rest is of ``transfer``: a backbone, its weights, how it sees pixels, and the second phase,
    in which the last ``unfreeze`` of its layers learn too.
    """

    name: str = key("the network")
    depth: int | None = key("its own number of blocks, where it has one", 1, 8, default=None)
    width: int | None = key("filters of the first block", 1, 1024, default=None)
    backbone: str | None = key(
        "of transfer: any name of keras.applications, or a .keras file", default=None
    )
    alpha: float | None = key("of transfer: the backbone's width", above=0, high=4, default=None)
    weights: str | None = key(
        "of transfer: imagenet, none or a .h5 file; a .keras file has its own", default=None
    )
    pixels: str | None = key(
        "of transfer: how the backbone sees pixels; null: as keras.applications does, or itself",
        one_of=("as_they_are", "zero_to_one", "minus_one_to_one", "imagenet", "lite"),
        default=None,
    )
    # Numbers, or a list of three; OmegaConf has no type for either.
    scale: Any = key(  # noqa: RUF009
        "of transfer: in place of pixels, what to multiply 0 to 255 with; or three, for red, green "
        "and blue",
        default=None,
    )
    offset: Any = key("of transfer: beside scale, what to add then", default=None)  # noqa: RUF009
    unfreeze: float | None = key(
        "of transfer: share of the layers that learn in a second phase", 0, 1, default=None
    )
    first_layer_rate: float | None = key(
        "of transfer: learning rate of the backbone's first layer, as a share; null: no less",
        above=0,
        high=1,
        default=None,
    )
    head_epochs: int | None = key(
        "of transfer: epochs of the first phase, where a second follows", 1, default=None
    )
    head_rate: float | None = key(
        "of transfer: learning rate of the first phase", above=0, below=math.inf, default=None
    )


@dataclass
class Optimizer:
    """A Keras optimizer by its Keras name; what is None is left to Keras."""

    name: str = key("what Keras calls it")
    learning_rate: float = key("in force where learning_rate is null", above=0, below=math.inf)
    weight_decay: float | None = key("as in Keras", 0, below=math.inf, default=None)
    momentum: float | None = key("as in Keras", 0, below=1, default=None)
    nesterov: bool | None = key("as in Keras", default=None)
    rho: float | None = key("as in Keras", 0, below=1, default=None)
    beta_1: float | None = key("as in Keras", 0, below=1, default=None)
    beta_2: float | None = key("as in Keras", 0, below=1, default=None)
    epsilon: float | None = key("as in Keras", above=0, below=math.inf, default=None)


@dataclass
class Schedule:
    """How the learning rate moves during training."""

    name: str = key("what it is called")
    warmup_fraction: float = key("share of the steps spent rising", 0, below=1, default=0.0)
    final_fraction: float = key("share of the rate left at the last step", 0, 1, default=0.0)


@dataclass
class Sweep:
    """How a sweep goes: ``fresh`` runs what is done once more, ``promote`` registers the winner."""

    fresh: bool = key("with -m: run also what has been run before", default=False)
    promote: bool = key("with -m: evaluate the winner, and register it", default=False)


@dataclass
class Tracking:
    """Where runs and models are recorded; ``uri`` None means the project's own store."""

    name: str = key("what it is called")
    uri: str | None = key("address of the store; null: the project's own", default=None)
    experiment: str = key("MLflow experiment of the runs")
    registered_model: str = key("name in the model registry")


@dataclass
class Config:
    """The whole configuration, as an entry point sees it.

    Values come from ``params.yaml``; the groups from the files of ``conf/`` that it chooses.
    """

    recipe: str = key("settings of conf/recipe/NAME.yaml, which go before params.yaml's own")
    images: str = key("class folders, split folders, an archive of either, or its URL")
    predict_images: str = key("folder or picture that the stage predict classifies")
    image_size: int = key("side of the square pictures the network sees, in pixels", 8, 1024)
    resize: str = key("how pictures become square", one_of=("squash", "crop", "pad"))
    validation_fraction: float = key("share held out to choose the best epoch", above=0, below=1)
    test_fraction: float = key("share held out for the final figures", above=0, below=1)
    splits: list[str] | None = key("folders of given splits; null: their names tell")  # noqa: RUF009
    max_refused_fraction: float = key("more files left out than this stop prepare", 0, 1)
    max_megapixels: float = key("larger pictures are refused", above=0, below=math.inf)
    near_duplicates: bool = key("whether pictures that look the same are copies")
    unlabelled: str | None = key("pictures without labels, for a teacher to teach; null: none")
    seed: int = key("of the sample, the split, the weights and the order", 0, 2**32 - 1)
    depth: int = key("blocks of cnn, groups of resnet", 1, 8)
    width: int | None = key("filters of the first block; null: the network's own", 1, 1024)
    dropout: float = key("share of units dropped before the last layers", 0, below=1)
    dense_units: int = key("units of the hidden layer of article and transfer", 1, 65536)
    learning_rate: float | None = key("null: the optimizer's own", above=0, below=math.inf)
    epochs: int = key("passes over the training pictures, at most", 1, 100_000)
    patience: int | None = key("epochs without a better val_accuracy before the end", 1, 100_000)
    batch_size: int = key("pictures per step", 1, 65536)
    steps_per_epoch: int | None = key("batches per epoch; null: one full pass", 1)
    validation_steps: int | None = key("batches per validation; null: one full pass", 1)
    label_smoothing: float = key("share of a target spread over all classes", 0, below=1)
    ema: float = key("share of the training over which weights are averaged", 0, below=1)
    teacher: str | None = key("network whose answers teach beside the labels; null: none")
    class_weights: str = key("weight of each class in the loss", one_of=("none", "balanced"))
    mirror: bool = key("whether an answer is the mean over a picture and its mirror image")
    precision: str = key("numbers of training", one_of=("auto", "float32", "bfloat16", "float16"))
    folds: int = key("parts of the pictures that suspects judges one by one", 2, 20)
    sure_precision: float | None = key("share of answers that are to be right", above=0, high=1)
    augment: Augment = field(
        default_factory=Augment, metadata=says("how training pictures are varied")
    )
    gate: Gate = field(default_factory=Gate, metadata=says("what makes a challenger the champion"))
    growth: Growth = field(default_factory=Growth, metadata=says("how training pictures grow"))
    model: Model = field(default_factory=Model, metadata=says("the network"))
    optimizer: Optimizer = field(default_factory=Optimizer, metadata=says("the Keras optimizer"))
    schedule: Schedule = field(
        default_factory=Schedule, metadata=says("how the learning rate moves")
    )
    sweep: Sweep = field(default_factory=Sweep, metadata=says("how a sweep goes"))
    tracking: Tracking = field(
        default_factory=Tracking, metadata=says("where runs and models are recorded")
    )

    def flat(self) -> dict[str, Any]:
        """Every resolved parameter by its name on the command line, without the unset ones.

        Those that the network does not read are left out.

        A choice stands under its group's name (``optimizer: adam``), what it means below it
        (``optimizer.beta_1: 0.9``); ``learning_rate``, ``depth`` and ``width`` are those in force.
        """
        parameters: dict[str, Any] = {}
        for key, value in vars(self).items():
            if key in CHOICES:
                parameters[key] = value.name
                details = {k: v for k, v in vars(value).items() if k != "name" and v is not None}
                parameters |= {f"{key}.{k}": v for k, v in details.items()}
            elif key != "sweep":  # no parameter of an experiment
                parameters[key] = value
        parameters |= {"learning_rate": self.rate, "depth": self.blocks, "width": self.filters}
        unread = UNREAD.get(self.model.name, ())
        for key in ("optimizer.learning_rate", "model.depth", "model.width", *unread):
            parameters.pop(key, None)
        return parameters

    def deciding(self) -> dict[str, Any]:
        """Those of ``flat`` that decide what a training of given pictures ends with."""
        skipped = (*ELSEWHERE, "growth") if self.frozen else ELSEWHERE
        deciding = {k: v for k, v in self.flat().items() if k.split(".")[0] not in skipped}
        if self.model.name != "transfer":
            deciding |= dict.fromkeys(OF_TRANSFER & deciding.keys())
        if self.frozen:  # the head learns once, from features of whole pictures
            read = ("augment.horizontal_flip",)
            unread = ("augment", "model.head_")
            deciding = {k: v for k, v in deciding.items() if k in read or not k.startswith(unread)}
        return deciding

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
