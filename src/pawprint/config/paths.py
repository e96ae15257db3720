"""Where each stage's files are."""

import os
from pathlib import Path

from pawprint.system.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
_PRESETS = ("hub:", "hf://", "kaggle://")
_NETWORK = ".keras"  # how the name of a network that Keras saved ends
WEIGHTS = ("imagenet", "none")  # words that may stand in place of a file of them


def shipped(name: str) -> Path:
    """A file or folder that comes with pawprint and stands outside its code, as ``conf``."""
    installed = PACKAGE / "base"  # in a source tree they stand at the top
    return (installed if installed.is_dir() else PACKAGE.parents[1]) / name


def conf_folders(root: Path) -> list[Path]:
    """Where a choice is looked for: the project's ``conf/``, then the one that comes with pawprint.

    Args:
        root: of the project.
    """
    own, base = root / "conf", shipped("conf")
    if not own.is_dir():
        return [base]
    return [own] if base.is_dir() and own.samefile(base) else [own, base]


def conf_file(root: Path, name: str) -> Path:
    """The file that ``name``, as ``optimizer/adam.yaml``, means in a project; it may be missing."""
    files = [folder / name for folder in conf_folders(root)]
    return next((file for file in files if file.is_file()), files[0])


class TrainingFiles:
    """What one training writes into ``folder``: the project's, or a sweep trial's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model.keras"  # for training on
        self.onnx = folder / "model.onnx"  # for every other use
        self.litert = folder / "litert"  # the network for phones, and figures of it
        self.history = folder / "history.csv"  # a row of figures per epoch
        self.last_good = folder / "last_good.keras"  # of a training whose loss went astray
        self.run = folder / "run.json"  # the MLflow run, and what another store needs to tell of it


class Paths:
    """The project's files; ``own`` is the folder of a network beside the project's one."""

    def __init__(self, root: Path, own: Path | None = None) -> None:
        self.root = root
        # A temporary workspace of `dvc exp run` is removed: what is to last is in its origin.
        self.lasting = root
        origin = os.environ.get("DVC_ROOT")
        if origin and root.is_relative_to(Path(origin).resolve() / ".dvc" / "tmp"):
            self.lasting = Path(origin).resolve()
        self.downloads = self.lasting / "data" / "downloads"  # archives from the web
        self.features = self.lasting / "data" / "features"  # what backbones see in the pictures
        self.checkpoints = self.lasting / "models" / ".checkpoints"  # of unfinished trainings
        self.sweeps = self.lasting / "models" / ".sweeps"  # unfinished ones
        self.sample = root / "data" / "sample"  # drawn pictures, a folder per class
        self.single_prediction = root / "data" / "single_prediction"  # those that no split holds
        self.code = root / "data" / "code"  # a digest per stage of what it computes with
        self.prepared = root / "data" / "prepared"  # manifest and arrays
        self.training = TrainingFiles(own or root / "models")
        self.champion = root / "models" / "champion"  # its network, and the record of it
        reports = root / "reports"
        self.audit = reports / "prepare"  # what prepare found in the pictures: a page and figures
        self.train_reports = reports / "train"  # drawings of what training sees
        self.evaluation = (own or reports) / "evaluate"  # figures of the test split
        self.evaluated = self.evaluation / "evaluated.json"  # which run, which pictures they are of
        self.report = self.evaluation / "report.html"  # whether to trust the network
        self.suspects = reports / "suspects"  # labels that may be wrong: a table and a page
        self.comparison = reports / "compare"  # runs side by side: a page, curves, changed answers
        self.reviews = self.lasting / "reviews"  # pictures whose answer somebody called wrong
        self.predictions = reports / "predict" / "predictions.csv"

    def audit_files(self) -> list[Path]:
        """The audit page and its tables, which go with each run; none before prepare."""
        return sorted([*self.audit.glob("*.html"), *self.audit.glob("*.csv")])

    def given(self, path: str) -> Path:
        """A path from the configuration; relative ones are meant from the root."""
        home = os.path.expanduser(path)  # noqa: PTH111 - Path fails where nobody has that name
        return Path(os.path.normpath(self.root / home))

    def pictures(self, images: str) -> Path | str:
        """The configured ``images``: a path as by ``given``, or a URL as it is."""
        return images if "://" in images else self.given(images)


def is_path(key: str, value: str) -> bool:
    """Whether the value of a key that may be a path is one, and not a name or a URL."""
    if key == "model.backbone":
        return value.endswith(_NETWORK) and not is_hub(value)
    return "://" not in value and not (key == "model.weights" and value in WEIGHTS)


def is_hub(backbone: str) -> bool:
    """Whether a backbone is a preset of KerasHub."""
    return backbone.startswith(_PRESETS)


def hub_preset(backbone: str) -> str:
    """What KerasHub calls a preset: its name, folder or address."""
    return backbone.removeprefix("hub:")


def backbone_file(backbone: str) -> Path | None:
    """The file that ``backbone`` names, None for a name.

    Raises:
        UserError: it names a file that is not there.
    """
    if is_hub(backbone) or not backbone.endswith(_NETWORK):
        return None
    path = Path(backbone)
    if path.is_file():
        return path
    raise UserError(
        f"model.backbone is {backbone}, which is not a file; set it to a .keras file that is there"
    )


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
