"""Where each stage's files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pawprint.system.errors import UserError

WEIGHTS = ("imagenet", "none")  # words that may stand in place of a file of them


@dataclass(frozen=True)
class TrainingFiles:
    """What one training writes into ``folder``: the project's, or a sweep trial's own."""

    folder: Path

    @property
    def model(self) -> Path:
        """The Keras model, for training on."""
        return self.folder / "model.keras"

    @property
    def onnx(self) -> Path:
        """The exported network, for every other use."""
        return self.folder / "model.onnx"

    @property
    def litert(self) -> Path:
        """The network for phones, and figures of it."""
        return self.folder / "litert"

    @property
    def history(self) -> Path:
        """A row of figures per epoch."""
        return self.folder / "history.csv"

    @property
    def last_good(self) -> Path:
        """The best network of a training whose loss went astray."""
        return self.folder / "last_good.keras"

    @property
    def run(self) -> Path:
        """The MLflow run and what it takes to tell of it in another store."""
        return self.folder / "run.json"


@dataclass(frozen=True)
class Paths:
    """The project's files, from its root.

    ``own`` is the folder of a network beside the project's one, and of what is found out of it.
    """

    root: Path
    own: Path | None = None

    def given(self, path: str) -> Path:
        """A path from the configuration; relative ones are meant from the root."""
        return Path(os.path.normpath(self.root / Path(path).expanduser()))

    def pictures(self, images: str) -> Path | str:
        """The configured ``images``: a path as by ``given``, or a URL as it is."""
        return images if "://" in images else self.given(images)

    @property
    def downloads(self) -> Path:
        """Archives from the web."""
        return self.lasting / "data" / "downloads"

    @property
    def features(self) -> Path:
        """What backbones see in the pictures."""
        return self.lasting / "data" / "features"

    @property
    def checkpoints(self) -> Path:
        """The states of unfinished trainings."""
        return self.lasting / "models" / ".checkpoints"

    @property
    def sweeps(self) -> Path:
        """The states of unfinished sweeps."""
        return self.lasting / "models" / ".sweeps"

    @property
    def lasting(self) -> Path:
        """The root; a temporary workspace of ``dvc exp run`` is removed: for it, its origin's."""
        origin = os.environ.get("DVC_ROOT")
        if origin and self.root.is_relative_to(Path(origin).resolve() / ".dvc" / "tmp"):
            return Path(origin).resolve()
        return self.root

    @property
    def sample(self) -> Path:
        """The drawn pictures, a folder per class."""
        return self.root / "data" / "sample"

    @property
    def single_prediction(self) -> Path:
        """Drawn pictures that no split holds."""
        return self.root / "data" / "single_prediction"

    @property
    def prepared(self) -> Path:
        """Manifest and arrays."""
        return self.root / "data" / "prepared"

    @property
    def audit(self) -> Path:
        """What ``prepare`` found in the pictures: a page and figures."""
        return self.root / "reports" / "prepare"

    @property
    def train_reports(self) -> Path:
        """Drawings of what training sees."""
        return self.root / "reports" / "train"

    @property
    def training(self) -> TrainingFiles:
        """What the train stage writes."""
        return TrainingFiles(self.own or self.root / "models")

    @property
    def registered(self) -> Path:
        """What the register stage decided."""
        return self.training.folder / "registered.json"

    @property
    def evaluation(self) -> Path:
        """Figures of the test split."""
        return (self.own or self.root / "reports") / "evaluate"

    @property
    def suspects(self) -> Path:
        """Labels that may be wrong: a table and a page."""
        return self.root / "reports" / "suspects"

    @property
    def report(self) -> Path:
        """The page that tells whether to trust the network."""
        return self.evaluation / "report.html"

    @property
    def evaluated(self) -> Path:
        """Which run and which test pictures the figures in ``evaluation`` are of."""
        return self.evaluation / "evaluated.json"

    @property
    def comparison(self) -> Path:
        """Runs side by side: a page, curves and the pictures that changed sides."""
        return self.root / "reports" / "compare"

    @property
    def predictions(self) -> Path:
        """Answers for ``predict_images``."""
        return self.root / "reports" / "predict" / "predictions.csv"


def weights_file(weights: str) -> Path | None:
    """The file that ``weights`` names, None for the words of ``WEIGHTS``.

    Raises:
        UserError: it is neither a word nor a file that is there.
    """
    if weights in WEIGHTS:
        return None
    path = Path(weights)
    if path.is_file():
        return path
    raise UserError(
        f"model.weights is {weights}, which is not a file; set it to imagenet, none or a .h5 file "
        "that is there"
    )
