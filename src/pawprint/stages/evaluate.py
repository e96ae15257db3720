"""Stage evaluate: the trained network on held-out pictures, into files, a page and the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.sources.address import named
from pawprint.data.store import Split, Summary, load_sizes, load_split, load_summary
from pawprint.evaluation.result import Result, compute_result
from pawprint.evaluation.tables import named_intervals, named_metrics, write_tables
from pawprint.inference.predictor import Predictor
from pawprint.system.errors import UserError
from pawprint.system.files import replacing_file, replacing_files, write_json
from pawprint.tracking.names import CARD, NETWORK_TAG, TEACHER_DIGEST_TAG, TEACHER_TAG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pawprint.evaluation.report import Origin
    from pawprint.evaluation.result import Example

log = logging.getLogger(__name__)

CURVES = ("accuracy", "loss")


def evaluate(config: Config, paths: Paths | None = None) -> dict[str, float]:
    """Judge the exported network by the test split; write figures, answers, report, model card.

    Args:
        config: the whole configuration.
        paths: where the network is and the results go. Defaults to the project's.

    Raises:
        UserError: nothing is prepared or trained, they do not fit, or the store does not answer.
    """
    from pawprint.evaluation.card import model_card
    from pawprint.evaluation.plots import curves_figure, png_of, read_history
    from pawprint.evaluation.report import Origin
    from pawprint.tracking.location import is_server
    from pawprint.tracking.provenance import environment
    from pawprint.tracking.store import connect, link_opened_run
    from pawprint.tracking.trained_run import read_trained, run_of

    # What was prepared and trained, which must fit.
    paths = paths or Paths(project_root())
    summary = load_summary(paths.prepared)
    validation = load_split(paths.prepared, "validation")
    test = load_split(paths.prepared, "test")
    read_history(paths.training.history)
    record = read_trained(paths)
    predictor = Predictor(paths.training.onnx)
    check_fit(test, predictor, summary, record, paths)
    store = connect(config.tracking.uri, config.tracking.experiment)
    # What is written takes its place when all of it is written and recorded.
    with store.explained(), replacing_files(paths.evaluation, paths.evaluated.name) as folder:
        run = run_of(store, paths)

        # Answer the pictures that were held out, and judge the answers.
        result = compute_result(
            test,
            predictor.probabilities(test.pictures),
            validation,
            predictor.probabilities(validation.pictures),
            sizes=np.maximum(*load_sizes(paths.prepared, "test")),
            temperature=predictor.temperature,
            wanted=config.sure_precision,
            thresholds=predictor.sure_points,
        )
        metrics = named_metrics(result)

        # Write tables and the page.
        write_tables(folder, result)
        origin = Origin(
            name=record["name"],
            run_id=run.id,
            address=store.address_of(run.id),
            local=not is_server(store.uri),
            parameters=record["parameters"],
            data=_data(summary),
            environment=environment(paths.root),
            teacher=_teacher(record["tags"]),
        )
        notes = [*summary.notes, *record.get("notes", [])]
        figures = _write_report(folder, paths, result, validation, notes, origin)
        with replacing_file(folder / PurePosixPath(CARD).name) as temporary:
            card = model_card(
                result,
                origin=origin,
                summary=summary,
                predictor=predictor,
                network=record[NETWORK_TAG],
                notes=notes,
            )
            temporary.write_text(card, encoding="utf-8")
        figures["curves"] = curves_figure(paths.training.history)
        for name, figure in figures.items():
            if name not in CURVES:  # they are in one figure
                (folder / f"{name}.png").write_bytes(png_of(figure, dpi=100))
        log.info(
            "test_accuracy %.4f (%.4f to %.4f), test_log_loss %.4f on %d pictures: %s",
            metrics["test_accuracy"],
            *result.intervals["accuracy"],
            metrics["test_log_loss"],
            len(test.labels),
            paths.report,
        )

        # Record it all in the training's run.
        digest = summary.splits["test"].digest
        run.log_dataset("test", str(paths.pictures(summary.images)), digest, "testing")
        run.log_metrics(metrics | named_intervals(result), model_id=run.tags.get("model_id"))
        run.set_tags({"test_digest": digest})
        run.log_files(folder, "evaluate")
        run.tell_missed()

        # Say last of which network the figures are, and all of them.
        of = {key: record[key] for key in ("run_id", NETWORK_TAG)} | {"test_digest": digest}
        write_json(folder / paths.evaluated.name, {**of, "metrics": metrics})
        link_opened_run(store, run, "evaluate")
        return metrics


def check_fit(
    test: Split, predictor: Predictor, summary: Summary, record: dict[str, Any], paths: Paths
) -> None:
    """Refuse test pictures that are not those the network was kept apart from.

    Raises:
        UserError: they are others, or of other classes, size or shape.
    """
    side = test.pictures.shape[1]
    if predictor.image_size != side or predictor.class_names != test.class_names:
        raise UserError(
            f"the network knows {named(predictor.class_names)} at {predictor.image_size} pixels, "
            f"but the test split has {named(test.class_names)} at {side}; train again with "
            "`dvc repro train`"
        )
    if predictor.resize != summary.resize:
        raise UserError(
            f"the network learned from pictures made square by {predictor.resize}, but those in "
            f"{paths.prepared} are by {summary.resize}; train again with `dvc repro train`"
        )
    # It may have learned from these very pictures.
    if record["tags"]["test_digest"] != summary.splits["test"].digest:
        raise UserError(
            "the network was trained beside other test pictures than those in "
            f"{paths.prepared}; train again with `dvc repro train`"
        )


def _write_report(
    folder: Path,
    paths: Paths,
    result: Result,
    validation: Split,
    notes: Sequence[str],
    origin: Origin,
) -> dict[str, Figure]:
    """Write the page into ``folder``; returns its figures by name, as they are for a light page."""
    from pawprint.evaluation.overlay import overlay
    from pawprint.evaluation.plots import evaluation_figures, png_of
    from pawprint.evaluation.report import Plot, report_page
    from pawprint.inference.predictor import Explainer
    from pawprint.pages.render import jpeg_of

    test = result.test
    explainer = Explainer(paths.training.onnx)

    def explained(example: Example) -> tuple[bytes, bytes]:
        picture = test.pictures[example.index]
        (attention,) = explainer.maps(picture[None])
        return jpeg_of(picture), jpeg_of(overlay(picture, attention))

    def jpeg(index: int) -> bytes:  # of validation pictures and then of test pictures
        inside = index < len(validation.labels)
        split, place = (validation, index) if inside else (test, index - len(validation.labels))
        return jpeg_of(split.pictures[place])

    light = evaluation_figures(paths.training.history, result, dark=False)
    dark = evaluation_figures(paths.training.history, result, dark=True)
    page = report_page(
        result,
        origin=origin,
        plots=[
            Plot(name.replace("_", " "), png_of(light[name]), png_of(dark[name])) for name in light
        ],
        explained=explained,
        jpeg=jpeg,
        notes=notes,
    )
    with replacing_file(folder / paths.report.name) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return light


def _teacher(tags: Mapping[str, str]) -> tuple[str, str] | None:
    return (tags[TEACHER_TAG], tags[TEACHER_DIGEST_TAG]) if TEACHER_TAG in tags else None


def _data(summary: Summary) -> dict[str, object]:
    splits = {f"{name} pictures": f"{split.pictures:,}" for name, split in summary.splits.items()}
    return {
        "images": summary.images,
        "classes": ", ".join(summary.class_names),
        **splits,
        "digest of all": summary.digest,
        "digest of test": summary.splits["test"].digest,
    }
