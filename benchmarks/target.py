"""Seconds until cats and dogs are told apart as well as in the article: its way, and ours.

    python benchmarks/target.py FOLDER

FOLDER holds `training_set` and `test_set` with `cats` and `dogs`, of the article's 8,000 + 2,000
pictures. The clock starts with the process. The article's way (`ImageDataGenerator`, its network in
Keras, float32, Adadelta at rate 1) ends with the first epoch that tells 0.77 of the test pictures
right; it is scored on them after each epoch, as in the article. Ours is all of
`python -m pawprint.train recipe=fast` on prepared pictures: start, training, export, recording;
its exported network is scored on the test pictures once, afterwards. Each round has a seed of its
own; in the first one the tracking store is made as well. With `--epochs25` the article's way goes
on to its 25 epochs.

EXPECTED on 2 cores: the article's way reaches 0.77 after … seconds, ours after …, … times sooner;
25 epochs of the article's way take … seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import apart
import tables
from project import Copy, copied
from trained import test_accuracy, train

EPOCHS = 25  # of the article


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3, help="of ours")
    parser.add_argument("--article-rounds", type=int, default=1, help="of the article's way")
    parser.add_argument("--epochs25", action="store_true", help="the article's way to its end")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--target", type=float, default=0.77)
    parser.add_argument("--settings", nargs="*", default=[], help="further ones of ours, key=value")
    given = parser.parse_args()
    folder = given.folder.resolve()
    articles: list[dict[str, Any]] = []
    reached: list[float] = []
    tables.head("way", "round", f"seconds to {given.target}", "test accuracy", "epochs")
    with copied() as copy:
        settings = (f"recipe={given.recipe}", *given.settings)
        copy.stage("prepare", f"images={folder}", *settings)
        for turn in range(max(given.rounds, given.article_rounds)):
            if turn < given.article_rounds:
                articles.append(_article_round(str(folder), turn, given))
            if turn < given.rounds:
                reached += _our_round(copy, turn, settings, given.target)
    print()
    for done in articles if given.epochs25 else ():
        scores = " ".join(f"{score:.4f}" for score in done["scores"])
        print(f"the article's way, {EPOCHS} epochs: {done['seconds'][-1]:.0f} s; test accuracy")
        print(f"after each: {scores}")
    theirs = [done["reached"] for done in articles if done["reached"]]
    if theirs and reached:
        times = statistics.median(theirs) / statistics.median(reached)
        print(
            f"medians: the article's way {statistics.median(theirs):.1f} s, ours "
            f"{statistics.median(reached):.1f} s, {times:.1f} times sooner"
        )
    if len(theirs) < given.article_rounds or len(reached) < given.rounds:
        print(f"not every training came to {given.target}: the medians are of those that did")


def _article_round(folder: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds and test accuracy after each epoch, and the seconds after which the target is met."""
    settings = {"folder": folder, "seed": seed, "target": given.target, "whole": given.epochs25}
    done = apart.run(__file__, "article", begin=time.time(), **settings)
    pairs = zip(done["seconds"], done["scores"], strict=True)
    good = [(seconds, score) for seconds, score in pairs if score >= given.target]
    epochs = len(done["scores"])
    if not good:
        tables.row("the article's", seed, "not reached", f"{max(done['scores']):.4f}", epochs)
        return done | {"reached": None}
    seconds, score = good[0]
    epochs = done["seconds"].index(seconds) + 1
    tables.row("the article's", seed, f"{seconds:.1f}", f"{score:.4f}", epochs)
    return done | {"reached": seconds}


def _our_round(copy: Copy, seed: int, settings: tuple[str, ...], target: float) -> list[float]:
    """The seconds of one training, or nothing where it missed the target."""
    trained = train(copy, *settings, f"seed={seed}")
    score = test_accuracy(copy)
    good = score >= target
    seconds = f"{trained.seconds:.1f}" if good else f"not reached in {trained.seconds:.1f}"
    epochs = trained.run["parameters"]["epochs"]
    tables.row(f"ours, {settings[0]}", seed, seconds, f"{score:.4f}", epochs)
    return [trained.seconds] if good else []


def _article(
    folder: str, seed: int, target: float, whole: bool, begin: float
) -> dict[str, list[float]]:
    import keras
    from article_keras import network, test_pictures, training_pictures

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            seconds.append(time.time() - begin)
            scores.append(logs["val_accuracy"])
            if scores[-1] >= target and not whole:
                self.model.stop_training = True

    keras.utils.set_random_seed(seed)
    seconds: list[float] = []
    scores: list[float] = []
    network().fit(
        training_pictures(folder),
        validation_data=test_pictures(folder),
        epochs=EPOCHS,
        verbose=0,
        callbacks=[Clock()],
    )
    return {"seconds": seconds, "scores": scores}


if __name__ == "__main__" and not apart.answered({"article": _article}):
    main()
