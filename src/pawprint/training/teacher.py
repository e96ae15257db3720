"""A teacher's answers to pictures as its student sees them: computed once, kept on disk.

Knowledge distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531) of a function, not of a
picture: teacher and student see the same variation of it (Beyer et al. 2022, "Knowledge
distillation: a good teacher is patient and consistent", arXiv:2106.05237).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pawprint.inference.calibration import LEAST
from pawprint.inference.predictor import Pictures, Predictor
from pawprint.system.code import code_digest
from pawprint.system.errors import UserError
from pawprint.tracking.names import TEACHER_DIGEST_TAG, TEACHER_TAG
from pawprint.training.array_cache import cached_array
from pawprint.training.augmentation import Augmentation, Variations

MOST_VIEWS = 8  # of a picture: after as many epochs they come again
TAUGHT = "taught"  # the split of which it teaches: of training, with what has no label
TEMPERATURE = 4.0
ANSWERS = "teacher's answers"  # in messages
TEACHER_WEIGHT = 0.9  # share of the teacher in a target; the rest is the label's


@dataclass(frozen=True)
class Teacher:
    """A network to learn from.

    Attributes:
        predictor: its answers, which are calibrated probabilities.
        digest: sha256 of its file, in hex.
        name: what to call it, as "pawprint version 3".
        test_digest: of the pictures that it was tested on, where that is known.
    """

    predictor: Predictor
    digest: str
    name: str
    test_digest: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What the run of a student is found by."""
        return {TEACHER_TAG: self.name, TEACHER_DIGEST_TAG: self.digest}

    def check(self, class_names: Sequence[str], resize: str) -> None:
        """Refuse a teacher that answers something else than is to be learned.

        Args:
            class_names: of the pictures to learn from.
            resize: how these were made square.

        Raises:
            UserError: its classes are others, or its pictures were made square in another way.
        """
        own = self.predictor
        if set(own.class_names) != set(class_names):
            lacks = sorted(set(class_names) - set(own.class_names))
            extra = sorted(set(own.class_names) - set(class_names))
            parts = [f"it does not know {lacks[0]}"] if lacks else []
            parts += [f"they have no {extra[0]}"] if extra else []
            raise UserError(
                f"the teacher, {self.name}, has other classes than the prepared pictures: "
                f"{' and '.join(parts)}; set teacher to a network of theirs"
            )
        if own.resize != resize:
            raise UserError(
                f"the teacher, {self.name}, learned from pictures of resize={own.resize}, but the "
                f"prepared ones are of resize={resize}; prepare them with resize={own.resize} or "
                "set teacher to another network"
            )

    def warning(self, test_digest: str) -> str | None:
        """Say in a sentence that it may know test pictures, of that digest, where so."""
        if self.test_digest in (None, test_digest):
            return None
        return (
            f"the teacher, {self.name}, was tested on other pictures: it may have learned from "
            "test pictures of today, and then the student's figures on these are too good; train "
            "the teacher on the same split"
        )

    @cached_property
    def mirrors(self) -> bool:
        """Whether its answers to a picture and to its mirror image are the same."""
        side = self.predictor.image_size
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        one, other = self.predictor.probabilities(np.concatenate([noise, noise[:, :, ::-1]]))
        return bool(np.allclose(one, other, atol=1e-4))

    def answers(
        self, pictures: Pictures, vary: Augmentation, variations: Variations, names: Sequence[str]
    ) -> Iterator[np.ndarray]:
        """Answer pictures that are varied as the student sees them, at the teacher's own size.

        Where the student sees mirror images, an answer is the mean over a picture and its own.

        Args:
            pictures: uint8 (n, side, side, 3).
            vary: the augmentation of the student.
            variations: of these n pictures.
            names: in which order to give the classes, the teacher's or another.

        Yields:
            Probabilities float32 (up to a batch, classes).
        """
        predictor = self.predictor
        order = [predictor.class_names.index(name) for name in names]
        both, seen = vary.horizontal_flip and not self.mirrors, views_of(vary)

        def shown(start: int) -> np.ndarray:
            rows = slice(start, start + predictor.batch_size)
            return seen.apply(pictures[rows], variations.of(rows), predictor.image_size)

        with ThreadPoolExecutor(1) as pool:  # the next batch is made while this one is answered
            ahead = pool.submit(shown, 0)
            for start in range(0, len(pictures), predictor.batch_size):
                batch = ahead.result()
                if start + predictor.batch_size < len(pictures):
                    ahead = pool.submit(shown, start + predictor.batch_size)
                answers = predictor.probabilities(batch)
                if both:
                    answers = (answers + predictor.probabilities(batch[:, :, ::-1])) / 2
                yield answers[:, order]


def _softened(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.maximum(probabilities, LEAST) ** np.float32(1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def views_of(vary: Augmentation) -> Augmentation:
    """What sets the views of a picture apart: all but mirroring, which is drawn anew each time.

    Nor does mixing, which is of a batch.
    """
    return replace(vary, horizontal_flip=False, mixup=0, cutmix=0)


@lru_cache(maxsize=2)  # the batches of an epoch are made in several threads
def draw_view(vary: Augmentation, view: int, count: int, side: int, seed: int) -> Variations:
    """Draw how each of ``count`` pictures is varied when it is seen for the ``view``-th time.

    Args:
        vary: as by ``views_of``.
        view: number of the view, from 0.
        count: number of pictures.
        side: theirs, in pixels.
        seed: of all views.
    """
    # The last number sets it apart from the generators of batches and of their order.
    return vary.draw(count, np.random.default_rng([seed, view, 0, 0x71E3]), side)


def answers_of_views(
    teacher: Teacher,
    pictures: Pictures,
    digest: str,
    names: Sequence[str],
    vary: Augmentation,
    *,
    side: int,
    views: int,
    seed: int,
    folder: Path,
) -> list[np.ndarray]:
    """What a teacher says of each view of pictures, from the disk where it is there.

    A view's answers are one file: what is killed goes on after the last whole one.

    Args:
        teacher: whose answers they are.
        pictures: uint8 (n, any side, the same, 3), as the teacher is to see them; read only where
            an answer is missing.
        digest: of the pictures.
        names: of the classes, in the order of the answers.
        vary: the augmentation of the student.
        side: of the pictures as the student has them, in pixels.
        views: how many.
        seed: of the views.
        folder: where answers are kept.

    Returns:
        Probabilities float32 (n, classes) by view, memory-mapped and read-only.
    """
    count = len(pictures)
    drawn = views_of(vary)
    code = code_digest("training.teacher")
    key: dict[str, str | int | float | None] = {
        "teacher": teacher.digest,
        "pictures": digest,
        "class_names": json.dumps(list(names)),
        "augmentation": json.dumps(asdict(drawn), sort_keys=True),
        "mirrored": vary.horizontal_flip,
        "seed": seed,
        # Another library and other code may answer otherwise.
        "computed_by": f"onnxruntime {version('onnxruntime')}, {code[:16]}",
    }

    def compute(view: int) -> Iterator[np.ndarray]:
        variations = draw_view(drawn, view, count, side, seed)
        for part in teacher.answers(pictures, vary, variations, names):
            yield part
            bar.update(len(part))

    total = views * count
    with tqdm(total=total, unit=" pictures", leave=False, disable=not sys.stderr.isatty()) as bar:
        found = []
        for view in range(views):
            name = f"view{view + 1}"
            found.append(cached_array(folder, key, name, partial(compute, view), ANSWERS))
            bar.update((view + 1) * count - bar.n)
    return found


@dataclass(frozen=True)
class SoftTargets:
    """What there is to learn from a teacher: of a picture's view its answer to the very same view.

    Attributes:
        answers: of each view, probabilities float32 (n, classes).
        vary: the augmentation of the student.
        side: of the pictures that are varied, in pixels.
        seed: of the views.
        label_smoothing: share of a label that is spread over all classes, 0 up to 1.
        weight: share of the teacher in a target; the rest is the label's.
        temperature: by which the logarithms of the answers are divided before they are learned, so
            that it matters by how much one class is more probable (Hinton et al. 2015). What the
            student answers is calibrated when it is exported.
    """

    answers: Sequence[np.ndarray]
    vary: Augmentation
    side: int
    seed: int
    label_smoothing: float = 0.0
    weight: float = TEACHER_WEIGHT
    temperature: float = TEMPERATURE

    def variations(self, epoch: int, rows: np.ndarray, rng: np.random.Generator) -> Variations:
        """How the pictures ``rows`` (m,) are varied in an epoch; ``rng`` draws which are turned."""
        view, count = epoch % len(self.answers), len(self.answers[0])
        drawn = draw_view(views_of(self.vary), view, count, self.side, self.seed)
        turned = rng.random(len(rows)) < 0.5 if self.vary.horizontal_flip else None
        return replace(drawn.of(rows), turned=turned)

    def targets(self, labels: np.ndarray, epoch: int, rows: np.ndarray) -> np.ndarray:
        """What to learn of the pictures ``rows`` (m,) in an epoch.

        Cross-entropy is linear in its targets: that with a mixed one is the mixed one.

        Args:
            labels: theirs, as by ``targets_for``; NaN where a picture has none, which the teacher
                then teaches alone.
            epoch: number of the epoch, from 0.
            rows: which pictures.

        Returns:
            float32 (m, 2) or (m, 2 * classes): the targets, and behind them those of the labels
            alone, or of the teacher alone where there is no label.
        """
        taught = _softened(self.answers[epoch % len(self.answers)][rows], self.temperature)
        taught = taught[:, 1:] if labels.shape[1] == 1 else taught
        smooth = labels + np.float32(self.label_smoothing) * (1 / self.answers[0].shape[1] - labels)
        mixed = smooth + np.float32(self.weight) * (taught - smooth)
        both = np.concatenate([mixed, labels], axis=1)
        return np.where(np.isnan(both), np.tile(taught, 2), both)
