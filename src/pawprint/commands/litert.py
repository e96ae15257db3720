"""The command litert: the trained network for phones, measured against the ONNX one, recorded."""

import logging
from pathlib import Path

import numpy as np

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.store import Split, load_split, load_summary
from pawprint.export.litert_predictor import LiteRTPredictor, check_litert
from pawprint.inference.predictor import Predictor, milliseconds_per_picture
from pawprint.stages.evaluate import check_fit
from pawprint.system.errors import files_explained
from pawprint.system.files import replacing_folder, write_json
from pawprint.system.terminal import print_rows
from pawprint.tracking.store import connect, link_opened_run
from pawprint.tracking.trained_run import read_trained, run_of
from pawprint.training.tensorflow_runtime import start_tensorflow

log = logging.getLogger(__name__)

ONNX = "onnx"
SHOWN = 200  # training pictures by which int8 chooses the ranges of its numbers


def litert(config: Config) -> None:
    """Write the trained network as LiteRT, in float16 and in int8, and measure both.

    Files and figures go into `models/litert` and into the training's run. The test pictures
    measure and choose nothing: both files are written, whatever the figures are.

    Raises:
        UserError: LiteRT is not installed, nothing is prepared or trained, they do not fit, or the
            store does not answer.
        RuntimeError: in float16 a probability of a validation picture differs by more than 1e-2
            from the ONNX network's; nothing is written.
    """
    check_litert()
    paths = Paths(project_root())
    files = paths.training
    summary = load_summary(paths.prepared)
    splits = ("train", "validation", "test")
    train, validation, test = (load_split(paths.prepared, split) for split in splits)
    record = read_trained(paths)
    onnx = Predictor(files.onnx)
    check_fit(test, onnx, summary, record, paths)
    store = connect(config.tracking.uri, config.tracking.experiment)
    start_tensorflow()
    from pawprint.export.litert import export_litert, load_model

    count = len(train.labels)
    shown = np.random.default_rng(0).choice(count, min(SHOWN, count), replace=False)
    with files_explained(), store.explained():
        run = run_of(store, paths)
        with replacing_folder(files.litert) as folder:
            written = export_litert(
                load_model(files.model),
                folder,
                onnx,
                train.pictures[np.sort(shown)],
                validation.pictures,
                mirror=bool(record["parameters"].get("mirror")),
                run_id=record["run_id"],
            )
            log.info("measuring on %d test pictures", len(test.labels))
            expected = onnx.probabilities(test.pictures)
            measured = {ONNX: _measure(files.onnx, onnx, test, expected)}
            for kind, network in written.items():
                measured[kind] = _measure(network.path, network, test, expected)
            write_json(folder / "metrics.json", measured)
        figures = {
            f"{kind}_{name}": figure for kind in written for name, figure in measured[kind].items()
        }
        run.log_metrics(figures, model_id=run.tags.get("model_id"))
        run.log_files(files.litert, "litert")
        run.tell_missed()
        link_opened_run(store, run, "litert")
    rows = [
        {
            "network": kind,
            "MB": f"{of['megabytes']:.2f}",
            "accuracy": f"{of['test_accuracy']:.4f}",
            "largest difference": f"{of['largest_difference']:.4f}",
            "mean difference": f"{of['mean_difference']:.4f}",
            "ms a picture": f"{of['milliseconds']:.2f}",
        }
        for kind, of in measured.items()
    ]
    print_rows(f"Test pictures: {len(test.labels):,}; differences from {ONNX}", rows)
    log.info("for phones: %s", files.litert)


def _measure(
    path: Path, network: Predictor | LiteRTPredictor, test: Split, expected: np.ndarray
) -> dict[str, float]:
    """What a file of the network takes, and what it answers to the test pictures.

    Returns:
        Its size in megabytes of 1,000,000 bytes, the share of the pictures that it gets right, the
        largest and the mean difference of a probability from the ONNX network's, and milliseconds
        for one picture alone on this machine.
    """
    answers = network.probabilities(test.pictures)
    differences = np.abs(answers - expected)
    return {
        "megabytes": path.stat().st_size / 1e6,
        "test_accuracy": float((answers.argmax(axis=1) == test.labels).mean()),
        "largest_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "milliseconds": milliseconds_per_picture(network.probabilities, test.pictures[0]),
    }
