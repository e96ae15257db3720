"""Training from a notebook or another program, recorded as by `pawprint train`.

Each stage runs in a process of its own, as on the command line: TensorFlow and MLflow change and
keep much of the process that they are in, memory above all, and Ctrl-C then ends a stage as it
ends one in a shell.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pawprint.api.classifier import Classifier, load
from pawprint.config.compose import compose, project_root
from pawprint.config.overrides import PATHS, RECIPE
from pawprint.config.paths import Paths, is_path
from pawprint.config.schema import CHOICES, Config
from pawprint.data.store import load_summary
from pawprint.registry.gate import PROMOTED, decision_in
from pawprint.registry.source import find_network
from pawprint.system.errors import UserError, installing
from pawprint.tracking.names import CHALLENGER, NETWORK_TAG
from pawprint.tracking.trained_run import read_record

if TYPE_CHECKING:
    import pandas

_PLAIN = re.compile(r"[A-Za-z_/][\w./@+-]*", re.ASCII)  # a text that needs no quotes
_ERROR = "error: "  # begins the sentence that a stage ends with


def train(**settings: Any) -> Run:
    """Train a network in the project of the current folder, as `pawprint train` does.

    The pictures are prepared first where what is prepared does not fit the settings. (Pictures that
    were added to the same folder since are taken in by `dvc repro`.) What is printed meanwhile is
    what the command prints; Ctrl-C, or a notebook's button, ends it.

    Args:
        **settings: keys of `params.yaml`, for this training alone: ``recipe="fast", epochs=5``.
            Within a group they have a dot: ``**{"optimizer.learning_rate": 0.1}``. A relative path
            is meant from the current folder; ``None`` is `null`.

    Returns:
        The recorded run.

    Raises:
        UserError: there is no project here, a setting or the pictures are wrong, TensorFlow is not
            installed, or something of what `pawprint train` would say.
    """
    root = project_root()
    words = as_words(settings, root)
    config = compose(words)
    if find_spec("tensorflow") is None:
        raise UserError(
            f"train needs tensorflow, which is not installed here; {installing('tensorflow')} "
            "installs it"
        )
    paths = Paths(root)
    if paths.pictures(config.images) == paths.sample and not paths.sample.exists():
        _run_stage("sample", words, root)
    if not _is_prepared(config, paths):
        _run_stage("prepare", words, root)
    _run_stage("train", words, root)
    return Run(root, words, config)


@dataclass(frozen=True)
class Registered:
    """What came of a registration.

    Attributes:
        version: of the registered model.
        champion: whether it became the champion; else it is the challenger only.
        reason: why, in a sentence.
    """

    version: int
    champion: bool
    reason: str


class Run:
    """A recorded training, as ``pawprint.train`` returns it. A notebook shows its curves.

    Attributes:
        id: of the MLflow run.
        name: of the MLflow run.
        parameters: of the training, by key.
        metrics: of training and validation, and of the test once it is evaluated, by name.
    """

    def __init__(self, root: Path, words: Sequence[str], config: Config) -> None:
        """Read the network that was trained last in the project at ``root``.

        Args:
            root: of the project.
            words: the settings it was trained with, as the command line takes them.
            config: what they make.
        """
        self._root, self._words, self._config = root, list(words), config
        self._paths = Paths(root)
        record = read_record(self._paths.training.run)
        self.id: str = record["run_id"]
        self.name: str = record["name"]
        self.parameters: dict[str, Any] = record["parameters"]
        self.metrics: dict[str, float] = {
            key: value
            for key, value in record.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        self._network: str = record[NETWORK_TAG]
        self._history = self._paths.training.history.read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return (
            f"<Run {self.name} ({self.id}): val_accuracy {self.metrics['best_val_accuracy']:.4f}>"
        )

    @property
    def history(self) -> pandas.DataFrame:
        """A row per epoch: accuracy and loss of training and validation, and more figures."""
        import pandas

        return pandas.read_csv(io.StringIO(self._history))

    @property
    def classifier(self) -> Classifier:
        """The trained network, ready to answer."""
        with chdir(self._root):
            return load(f"runs:/{self.id}")

    def evaluate(self) -> dict[str, float]:
        """Score the network on the test pictures, as `pawprint evaluate` does, report included.

        Returns:
            The figures, as ``test_accuracy``, which are in ``metrics`` too.

        Raises:
            UserError: another network was trained in the project since, or other pictures prepared.
        """
        self._check_latest("evaluated")
        _run_stage("evaluate", self._words, self._root)
        content = json.loads(self._paths.evaluated.read_text(encoding="utf-8"))
        metrics: dict[str, float] = content["metrics"]
        self.metrics |= metrics
        return dict(metrics)

    def register(self) -> Registered:
        """Register the evaluated network; it becomes champion where the gate lets it pass.

        Raises:
            UserError: it is not evaluated, or another network was trained in the project since.
        """
        self._check_latest("registered")
        _run_stage("register", self._words, self._root)
        tracking = self._config.tracking
        with chdir(self._root):  # what tells of a project is the current folder
            found = find_network(f"models:/{tracking.registered_model}@{CHALLENGER}", tracking.uri)
        decision = decision_in(found.tags)
        if (
            found.version is None
            or decision is None
            or found.tags.get(NETWORK_TAG) != self._network
        ):
            raise UserError(
                "another network was registered at the same time; `pawprint champion` tells what "
                "became of this one"
            )
        return Registered(found.version, decision.verdict == PROMOTED, decision.reason)

    def _check_latest(self, done: str) -> None:
        now = read_record(self._paths.training.run)
        if now["run_id"] != self.id:
            raise UserError(
                f"{self._paths.training.folder} holds the network of the run {now['name']} now, "
                f"and that of {self.name} cannot be {done} any more; train it again"
            )

    def _repr_html_(self) -> str:
        from tempfile import TemporaryDirectory

        from pawprint.evaluation.plots import curves_figure, png_of
        from pawprint.pages.render import render

        with TemporaryDirectory(prefix="pawprint-") as folder:
            path = Path(folder) / "history.csv"
            path.write_text(self._history, encoding="utf-8")
            png = png_of(curves_figure(path), dpi=100)
        epochs = len(self._history.splitlines()) - 1
        names = ("best_val_accuracy", "best_val_loss", "test_accuracy")
        figures = {name: self.metrics[name] for name in names if name in self.metrics}
        return render("api/run.html", run=self, png=png, epochs=epochs, figures=figures)


def as_words(settings: Mapping[str, Any], root: Path) -> list[str]:
    """Settings as the command line takes them, ``key=value``.

    Args:
        settings: values by key.
        root: of the project, from where the command line means relative paths.

    Raises:
        UserError: a value is of a type that no key has.
    """
    return [f"{key}={_written(key, value, root)}" for key, value in settings.items()]


def _written(key: str, value: Any, root: Path) -> str:
    """A value in Hydra's grammar, which reads it back as it is."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return json.dumps(value) if isinstance(value, bool) else repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_written('', one, root) for one in value)}]"
    if not isinstance(value, str):
        raise UserError(
            f"{key} is of the type {type(value).__name__}; give a number, a text, None, True, "
            "False or a list"
        )
    if key in (*CHOICES, RECIPE):
        return value
    if key in PATHS and value.strip() and is_path(key, value):
        # Path would fail where nobody has that name, and resolve links.
        path = Path(os.path.abspath(os.path.expanduser(value)))  # noqa: PTH100, PTH111
        value = str(path.relative_to(root) if path.is_relative_to(root) else path)
    if _PLAIN.fullmatch(value) and value.lower() not in ("null", "true", "false", "inf", "nan"):
        return value
    return QuotedString(value, Quote.single).with_quotes()


def _is_prepared(config: Config, paths: Paths) -> bool:
    """Whether the prepared pictures fit the settings."""
    from pawprint.stages.train import check_prepared

    try:
        check_prepared(config, load_summary(paths.prepared))
    except UserError:
        return False
    return True


def _run_stage(name: str, words: Sequence[str], root: Path) -> None:
    """Run a stage as the command line does, and print what it prints.

    Raises:
        UserError: with the sentence that it ends with.
        KeyboardInterrupt: it was stopped, and has ended.
        RuntimeError: it ended otherwise; what it printed tells why.
    """
    command = [sys.executable, "-m", "pawprint", name, *words]
    sentence = ""
    with subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        process_group=0,  # Ctrl-C comes from here alone, and once
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(_ERROR):
                    sentence = line.removeprefix(_ERROR).rstrip("\n")
                else:
                    print(line, end="", flush=True)
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate()  # until it has put its things in order
            except KeyboardInterrupt:  # asked twice
                process.kill()
            raise
    if sentence:
        raise UserError(sentence)
    if code:
        raise RuntimeError(f"`{shlex.join(['pawprint', name, *words])}` ended with {code}")
