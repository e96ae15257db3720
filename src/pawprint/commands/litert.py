"""The trained network as LiteRT, for phones: written, measured beside the ONNX one, recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pawprint.config.compose import project_root, run_stage
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.store import Split, load_split, load_summary
from pawprint.inference.predictor import Predictor
from pawprint.registry.scoring import milliseconds_per_picture
from pawprint.stages.evaluate import check_fit
from pawprint.system.files import replacing_folder, write_json
from pawprint.system.terminal import print_rows

if TYPE_CHECKING:
    from pawprint.export.litert_predictor import LiteRTPredictor

log = logging.getLogger(__name__)

ONNX = "onnx"
METRICS = "metrics.json"
SHOWN = 200  # training pictures by which int8 chooses the ranges of its numbers


@dataclass(frozen=True)
class Measured:
    """What a file of the network takes, and what it answers to the test pictures.

    Attributes:
        megabytes: of 1,000,000 bytes.
        test_accuracy: share of them that it gets right.
        largest_difference: of a probability from the ONNX network's.
        mean_difference: the mean of all these differences.
        milliseconds: for one picture alone, on this machine.
    """

    megabytes: float
    test_accuracy: float
    largest_difference: float
    mean_difference: float
    milliseconds: float


def main() -> None:
    """Write the project's network for phones."""
    run_stage("litert", litert)


def litert(config: Config) -> dict[str, Measured]:
    """Write the trained network as LiteRT, in float16 and in int8, and measure both.

    Files and figures go into `models/litert` and into the training's run. The test pictures
    measure and choose nothing: both files are written, whatever the figures are.

    Returns:
        The figures of the ONNX network and of both files, by "onnx", "float16" and "int8".

    Raises:
        UserError: nothing is prepared or trained, they do not fit, or the store does not answer.
        RuntimeError: in float16 a probability of a validation picture differs by more than 1e-2
            from the ONNX network's; nothing is written.
    """
    from pawprint.tracking.store import connect, link_opened_run
    from pawprint.tracking.trained_run import read_record, run_of
    from pawprint.training.recording import files_explained
    from pawprint.training.tensorflow_runtime import start_tensorflow

    paths = Paths(project_root())
    files = paths.training
    summary = load_summary(paths.prepared)
    train, validation, test = (
        load_split(paths.prepared, split) for split in ("train", "validation", "test")
    )
    record = read_record(files.run)
    onnx = Predictor(files.onnx)
    check_fit(test, onnx, summary, record, paths)
    store = connect(config.tracking.uri, config.tracking.experiment)
    start_tensorflow()
    from pawprint.export.litert_convert import export_litert, load_model

    with files_explained(), store.explained():
        run = run_of(store, files)
        with replacing_folder(files.litert) as folder:
            written = export_litert(
                load_model(files.model),
                folder,
                onnx,
                _some(train),
                validation.pictures,
                mirror=bool(record["parameters"].get("mirror")),
                run_id=record["run_id"],
            )
            log.info("measuring on %d test pictures", len(test.labels))
            expected = onnx.probabilities(test.pictures)
            measured = {ONNX: _measure(files.onnx, onnx, test, expected)}
            for kind, network in written.items():
                measured[kind] = _measure(network.path, network, test, expected)
            write_json(folder / METRICS, {name: asdict(one) for name, one in measured.items()})
        run.log_metrics(_named(measured), model_id=run.tags.get("model_id"))
        run.log_files(files.litert, "litert")
        run.tell_missed()
        link_opened_run(store, run, "litert")
    _show(measured, len(test.labels))
    log.info("for phones: %s", files.litert)
    return measured


def _some(train: Split) -> np.ndarray:
    """The same few training pictures each time, uint8 (n, size, size, 3)."""
    count = len(train.labels)
    places = np.random.default_rng(0).choice(count, min(SHOWN, count), replace=False)
    return train.pictures[np.sort(places)]


def _measure(
    path: Path, network: Predictor | LiteRTPredictor, test: Split, expected: np.ndarray
) -> Measured:
    answers = network.probabilities(test.pictures)
    differences = np.abs(answers - expected)
    return Measured(
        path.stat().st_size / 1e6,
        float((answers.argmax(axis=1) == test.labels).mean()),
        float(differences.max()),
        float(differences.mean()),
        milliseconds_per_picture(network, test.pictures[0]),
    )


def _named(measured: Mapping[str, Measured]) -> dict[str, float]:
    """The figures as the run has them, as "float16_test_accuracy"."""
    return {
        f"{kind}_{name}": value
        for kind, one in measured.items()
        for name, value in asdict(one).items()
        if kind != ONNX
    }


def _show(measured: Mapping[str, Measured], pictures: int) -> None:
    rows = [
        {
            "network": kind,
            "MB": f"{one.megabytes:.2f}",
            "accuracy": f"{one.test_accuracy:.4f}",
            "largest difference": f"{one.largest_difference:.4f}",
            "mean difference": f"{one.mean_difference:.4f}",
            "ms a picture": f"{one.milliseconds:.2f}",
        }
        for kind, one in measured.items()
    ]
    print_rows(f"Test pictures: {pictures:,}; differences from {ONNX}", rows)
