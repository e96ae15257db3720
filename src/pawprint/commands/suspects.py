"""Suspect labels: each picture judged by networks that did not learn from it."""

import hashlib
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.store import Pool, Split, load_pool, load_split, load_summary
from pawprint.inference.predictor import Predictor
from pawprint.stages.train import check_prepared, describe_training, find_weights, name_of
from pawprint.suspects.find import Suspect, assign_folds, find_suspects
from pawprint.suspects.report import PAGE, TABLE, HeldOut, agreement, write_suspects
from pawprint.system.errors import UserError
from pawprint.system.terminal import format_duration
from pawprint.tracking.names import KIND_TAG
from pawprint.tracking.run import Run
from pawprint.tracking.store import connect
from pawprint.tracking.trained_run import describe
from pawprint.training.augmentation import augmentation_of
from pawprint.training.checkpoint import Checkpoint, State, identity_of
from pawprint.training.recording import recorded
from pawprint.training.tensorflow_runtime import forget_training, start_tensorflow

log = logging.getLogger(__name__)

HELD_OUT, TEST = "held_out", "test"


@dataclass(frozen=True)
class Work:
    """All that the folds share."""

    config: Config
    paths: Paths
    pool: Pool  # the training and validation pictures
    whole: Split  # the same as one split
    test: Split
    fold_of: np.ndarray  # int64 (n,), the fold of each picture of the pool
    identity: dict[str, Any]  # all that decides what comes out


def suspects(config: Config) -> None:
    """Train a network per fold of the training and validation pictures and doubt their labels.

    Each fold is judged by the network that learned from the others (the fold's own labels chose
    its best epoch, no more), the test pictures by the mean of all. A teacher has no say: it has
    learned from these pictures. Table and page go into
    `reports/suspects` and into a run. Killed, the same command goes on where it was.

    Raises:
        UserError: nothing is prepared, a class has too few pictures, the tracking store does not
            answer, or a training fails.
    """
    paths = Paths(project_root())
    summary = load_summary(paths.prepared)
    check_prepared(config, summary)
    if config.teacher is not None:
        log.info("without the teacher %s: it may know the labels to be judged", config.teacher)
        config = replace(config, teacher=None)
    names = summary.class_names
    pool = load_pool(paths.prepared, ("train", "validation"))
    test = load_split(paths.prepared, "test")
    fold_of = assign_folds(pool.labels, pool.groups, config.folds, config.seed, names)
    name = f"suspects of {name_of(config, summary.images, paths.root)}"
    find_weights(config, paths)
    store = connect(config.tracking.uri, config.tracking.experiment)
    description = describe_training(config, summary, paths)
    description["parameters"] |= {"folds": config.folds}
    description["tags"] |= {KIND_TAG: "suspects"}
    start_tensorflow()
    whole = pool.whole()
    identity = identity_of(config, {"all": whole, "test": test})
    identity |= {"folds": hashlib.sha256(fold_of.tobytes()).hexdigest()}
    work = Work(config, paths, pool, whole, test, fold_of, identity)
    with recorded(store, name, paths.checkpoints, identity) as (run, checkpoint, state):
        describe(run, description)
        judged = _judge(work, run, checkpoint, state)
        found = find_suspects(judged.labels, judged.probabilities)

        def picture(index: int) -> np.ndarray:
            inside = len(pool.paths)
            return whole.pictures[index] if index < inside else test.pictures[index - inside]

        images = paths.pictures(config.images)
        source = images if isinstance(images, Path) and images.is_dir() else None
        write_suspects(paths.suspects, judged, found, picture, summary.images, source)
        _record(run, paths.suspects, judged, found)


def _judge(work: Work, run: Run, checkpoint: Checkpoint, state: State) -> HeldOut:
    """Let a network per fold learn and answer; those that the state has are done already."""
    pool, test, folds = work.pool, work.test, work.config.folds
    done = len(state.arrays.setdefault(HELD_OUT, []))
    state.arrays.setdefault(TEST, [])
    if done:
        log.info("going on after fold %d of %d", done, folds)
    begin = time.monotonic()
    for fold in range(folds):
        own = Checkpoint(work.paths.checkpoints, work.identity | {"fold": fold})
        if fold >= done:
            answers, agree = _answers(work, fold, own)
            for key, part in answers.items():
                state.arrays[key].append(part)
            checkpoint.save(state)
            run.log_metrics({"agreement": agree}, step=fold + 1)
            rest = (time.monotonic() - begin) / (fold + 1 - done) * (folds - fold - 1)
            left = f", about {format_duration(rest)} left" if rest else ""
            text = "fold %d of %d: the network agrees with %.4f of the labels%s"
            log.info(text, fold + 1, folds, agree, left)
        own.remove()
    held_out = np.empty((len(pool.labels), len(test.class_names)), np.float32)
    for fold, part in enumerate(state.arrays[HELD_OUT]):
        held_out[work.fold_of == fold] = part
    return HeldOut(
        [*pool.paths, *test.paths],
        [*pool.splits, *["test"] * len(test.paths)],
        np.concatenate([pool.labels, test.labels]),
        np.concatenate([held_out, np.mean(state.arrays[TEST], axis=0)]),
        test.class_names,
    )


def _answers(work: Work, fold: int, checkpoint: Checkpoint) -> tuple[dict[str, np.ndarray], float]:
    """What a network of the other folds says of this one and of the test pictures.

    Returns:
        Probabilities of both, float32 (n, classes), and the share of this fold's labels that it
        agrees with.
    """
    from pawprint.export.onnx import export_onnx
    from pawprint.training.devices import memory_explained
    from pawprint.training.trainer import TrainingJob, build_network, train_network

    config, learning = work.config, np.flatnonzero(work.fold_of != fold)
    held_out = work.pool.chosen(np.flatnonzero(work.fold_of == fold), work.whole)
    data = {"train": work.pool.chosen(learning, work.whole), "validation": held_out}
    text = "fold %d of %d: learning from %d pictures to judge %d"
    log.info(text, fold + 1, config.folds, len(learning), len(held_out.labels))
    with checkpoint.alone(), tempfile.TemporaryDirectory() as folder:
        state = checkpoint.load() or State()
        try:
            with memory_explained(config.batch_size):
                job = TrainingJob(
                    config=config,
                    data=data,
                    augmentation=augmentation_of(config),
                    features_folder=work.paths.features,
                    checkpoint=checkpoint,
                    state=state,
                    began=time.monotonic(),
                )
                trained = train_network(job, build_network(job))
        except UserError:
            if not state.arrays:
                checkpoint.remove()
            raise
        network, few = Path(folder) / "fold.onnx", held_out.pictures[:8]
        names = held_out.class_names
        export_onnx(trained.model, network, names, few, config.resize, config.mirror)
        del job, trained
        forget_training()  # the next network needs the room
        predictor = Predictor(network)
        answers = predictor.probabilities(held_out.pictures)
        agree = float((answers.argmax(axis=1) == held_out.labels).mean())
        return {HELD_OUT: answers, TEST: predictor.probabilities(work.test.pictures)}, agree


def _record(run: Run, folder: Path, judged: HeldOut, found: Sequence[Suspect]) -> None:
    of = Counter(judged.splits[one.index] for one in found)
    wrong = sum(one.probably_wrong for one in found)
    figures = {"labels": len(judged.labels), "suspects": len(found), "probably_wrong": wrong}
    run.log_metrics(figures | {f"suspects_{split}": of[split] for split in set(judged.splits)})
    for name in (TABLE, PAGE):
        run.log_file(folder / name, "suspects")
    log.info("%s: %s", agreement(judged, wrong), folder / PAGE)
