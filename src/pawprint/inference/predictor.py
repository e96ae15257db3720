"""The exported network with its class names: pictures in, probabilities out."""

import heapq
import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pawprint.data.brightness import brightness
from pawprint.data.decode import PictureError, Source, read_picture_with_facts
from pawprint.data.resize import RESIZES, SQUASH
from pawprint.inference.calibration import FEWEST_SURE, SurePoint, choose
from pawprint.system.errors import UserError, first_line

PROBABILITIES, MAPS = "probabilities", "maps"  # outputs of the network
NOT_SURE = "not sure"
SUM_OFF = 1e-3  # that probabilities may be off from a sum of 1
MOST_PICTURES = 256  # at a time, but fewer of large ones:
MOST_PIXELS = 32 * 224**2  # what is in work then stays near the processor


class Pictures(Protocol):
    """Pictures uint8 (n, size, size, 3): an array, or those of a prepared split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture: probabilities by class name, or the problem with the file.

    Less than ``threshold`` of probability, 0 to 1, is no answer: "not sure". ``size`` is width and
    height in the file, in pixels; ``brightness`` the mean luminance, 0 to 255, where asked for.
    """

    path: Path | str  # text is a URL
    probabilities: dict[str, float]
    problem: str | None = None
    threshold: float = 0.0
    size: tuple[int, int] | None = None
    brightness: float | None = None

    @property
    def label(self) -> str | None:
        """The most probable class or "not sure"; None where the picture could not be read."""
        if not self.probabilities:
            return None
        name = max(self.probabilities, key=self.probabilities.__getitem__)
        return NOT_SURE if self.probabilities[name] < self.threshold else name

    @property
    def probability(self) -> float | None:
        """The probability of the most probable class, 0 to 1."""
        return max(self.probabilities.values()) if self.probabilities else None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` most probable classes with their probabilities, the most probable first."""
        return heapq.nlargest(count, self.probabilities.items(), key=lambda one: one[1])


@dataclass(frozen=True)
class Answers:
    """The answers for some files, without their names.

    Attributes:
        probabilities: float32 (n, classes), a row per file that is a picture.
        sizes: width and height in its file of each of those.
        brightness: mean luminance of each of those, 0 to 255, or None if not asked for.
        problems: what is wrong with each of the others, by its place among all files.
    """

    probabilities: np.ndarray
    sizes: list[tuple[int, int]]
    brightness: list[float | None]
    problems: dict[int, str]


def class_columns(class_names: list[str], fixed: Iterable[str]) -> list[str]:
    """A column's name per class: the class's own, marked where it is one of the ``fixed`` ones."""
    return [f"{name} (class)" if name in fixed else name for name in class_names]


def load_runtime() -> Any:
    """ONNX Runtime; it tells its makers nothing, and leaves no file in the temporary folder."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is first imported
    import onnxruntime

    return onnxruntime


def in_batches(
    answer: Callable[[np.ndarray], np.ndarray], pictures: Pictures, size: int
) -> np.ndarray:
    """What ``answer`` gives for the pictures (n, …), n at least 1, so many at a time."""
    starts = range(0, len(pictures), size)
    return np.concatenate(
        [answer(np.ascontiguousarray(pictures[start : start + size])) for start in starts]
    )


def pictures_at_a_time(image_size: int) -> int:
    """How many pictures of that side, in pixels, are best shown to a network together."""
    return max(1, min(MOST_PICTURES, MOST_PIXELS // image_size**2))


class Predictor:
    """An exported network, ready to answer.

    Args:
        path: an ONNX file as the train stage writes it.
        sure_precision: share of the answers that are to be right, 0 to 1; what is less sure than
            it took on validation pictures is "not sure". None, the default, answers always.
        threshold: or the least probability of an answer itself, 0 to 1.
        threads: how many compute an answer. None, the default, is one for each core.
        alone: whether nothing else computes meanwhile; then cores wait for it at full speed.
            Defaults to True.
        content: the file's, where it was read already. Defaults to none: it is read now.

    Raises:
        UserError: the file is missing or not such a network, its parts do not fit each other, or it
            was never that precise.
    """

    def __init__(
        self,
        path: Path,
        sure_precision: float | None = None,
        *,
        threshold: float | None = None,
        threads: int | None = None,
        alone: bool = True,
        content: bytes | None = None,
    ) -> None:
        if content is None and Path(path).exists() and not os.access(path, os.R_OK):
            raise UserError(f"{path} cannot be read; mend its permissions")
        onnxruntime = load_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        if not alone:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path) if content is None else content, options
            )
            properties = self._session.get_modelmeta().custom_metadata_map
            self.class_names: list[str] = json.loads(properties["class_names"])
            pictures = self._session.get_inputs()[0]
            outputs = [output.name for output in self._session.get_outputs()]
            if pictures.type != "tensor(uint8)" or outputs != [PROBABILITIES]:
                raise ValueError("it does not take uint8 pictures and give probabilities")
            self._input: str = pictures.name
            count, self.image_size, *others = pictures.shape
            if type(self.image_size) is not int or others != [self.image_size, 3]:
                raise ValueError(f"its pictures are {pictures.shape}, not RGB squares of one size")
            if type(count) is int:
                raise ValueError(f"it takes {count} pictures at a time, not any number")
            self.resize: str = properties.get("resize", SQUASH)
            self.temperature = float(properties.get("temperature", 1.0))
            points = json.loads(properties.get("sure_points", "[]"))
            self.sure_points = [SurePoint(*point) for point in points]
            self._calibrated = "temperature" in properties
            self.batch_size = pictures_at_a_time(self.image_size)
            self._check_answer()
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's own have no common base
            reason = first_line(error)
            raise UserError(
                f"{path} is not a network that pawprint exported ({reason}); train again with "
                "`dvc repro train`"
            ) from None
        self.path = path
        self._state = None if content is not None else _state_of(path)
        self.sure = None if sure_precision is None else self.sure_point(sure_precision)
        self.threshold = self.sure.threshold if self.sure else threshold or 0.0

    def _check_answer(self) -> None:
        """Refuse a network of which the parts do not fit each other, as one answer shows.

        Raises:
            ValueError: they do not.
        """
        names = self.class_names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its class_names are no list of names")
        if len(set(names)) != len(names):
            raise ValueError("its class_names name a class twice")
        if self.resize not in RESIZES:
            raise ValueError(f"its resize is {self.resize}, none of {', '.join(RESIZES)}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"its temperature is {self.temperature:g}")
        blank = np.zeros((1, self.image_size, self.image_size, 3), np.uint8)
        answer = self.probabilities(blank)
        if answer.shape != (1, len(names)):
            shape = " × ".join(map(str, answer.shape[1:]))
            raise ValueError(
                f"its class_names are {len(names)}, but it gives {shape} probabilities"
            )
        if not (answer >= 0).all() or not abs(answer.sum() - 1) < SUM_OFF:  # nor if one is NaN
            raise ValueError("what it answers to a black picture are no probabilities")

    def check_unchanged(self) -> None:
        """See that the file still is what was read, for whoever opens it again.

        Raises:
            UserError: it was replaced or removed since.
        """
        if _state_of(self.path) != self._state:
            raise UserError(f"{self.path} was changed since it was read; open it again")

    def sure_point(self, sure_precision: float) -> SurePoint:
        """Where answers begin of which at least that share, 0 to 1, is right.

        Raises:
            UserError: validation pictures knew no such point.
        """
        if not self._calibrated:
            raise UserError(
                f"{self.path} was exported without thresholds; train again with `dvc repro train` "
                "or set sure_precision to null"
            )
        point = choose(self.sure_points, sure_precision)
        if point is not None:
            return point
        best = max((point.precision for point in self.sure_points), default=None)
        reached = (
            f"{math.floor(best * 1e4) / 1e4:.4f} at most"
            if best is not None
            else f"nothing, with fewer than {FEWEST_SURE} of them"
        )
        raise UserError(
            f"sure_precision is {sure_precision:g}, but {self.path} reached {reached} on "
            "validation pictures; lower sure_precision or set it to null"
        )

    def probabilities(self, pictures: Pictures) -> np.ndarray:
        """Probabilities float32 (n, classes) of uint8 pictures (n, image_size, image_size, 3)."""
        if not len(pictures):
            return np.zeros((0, len(self.class_names)), np.float32)
        return in_batches(
            lambda batch: self._session.run([PROBABILITIES], {self._input: batch})[0],
            pictures,
            self.batch_size,
        )

    def read(self, source: Source) -> np.ndarray:
        """A picture uint8 (image_size, image_size, 3) as the network learned to see it.

        Raises:
            PictureError: it is no picture.
        """
        return self.read_with_size(source)[0]

    def read_with_size(self, source: Source) -> tuple[np.ndarray, tuple[int, int]]:
        """The same, with width and height of the picture as it is given, in pixels.

        Raises:
            PictureError: it is no picture.
        """
        pixels, picture = read_picture_with_facts(source, self.image_size, self.resize)
        return pixels, (picture.width, picture.height)

    def classify(self, paths: Iterable[Path]) -> Iterator[Prediction]:
        """Yield a prediction per file, in their order; a file that is no picture gets a problem."""
        paths = iter(paths)
        while some := list(itertools.islice(paths, self.batch_size)):
            yield from self.predictions(some, self.answer(some))

    def answer(self, paths: Sequence[Path | str], *, measure: bool = False) -> Answers:
        """Read files and answer those that are pictures; more than ``batch_size`` take memory.

        Args:
            paths: the files.
            measure: whether to tell their brightness too. Defaults to False.
        """
        pictures, sizes, light, problems = [], [], [], {}
        for place, path in enumerate(paths):
            try:
                pixels, size = self.read_with_size(path)
            except PictureError as error:
                problems[place] = str(error)
            else:
                pictures.append(pixels)
                sizes.append(size)
                light.append(brightness(pixels) if measure else None)
        stack = np.stack(pictures) if pictures else np.zeros((0, 0, 0, 3), np.uint8)
        return Answers(self.probabilities(stack), sizes, light, problems)

    def predictions(self, paths: Sequence[Path | str], answers: Answers) -> Iterator[Prediction]:
        """Yield the answers with their files' names."""
        rows = zip(answers.probabilities.tolist(), answers.sizes, answers.brightness, strict=True)
        for place, path in enumerate(paths):
            if (problem := answers.problems.get(place)) is not None:
                yield Prediction(Path(path), {}, problem)
                continue
            row, size, light = next(rows)
            answer = dict(zip(self.class_names, row, strict=True))
            yield Prediction(Path(path), answer, None, self.threshold, size, light)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


class Explainer:
    """An exported network that tells why it answers what it answers.

    Args:
        path: an ONNX file as the train stage writes it.
        content: the file's, where it was read already. Defaults to none: it is read now.

    Raises:
        UserError: the file is missing, not such a network, or does not hold its maps.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        import onnx

        predictor = Predictor(path, content=content)
        self._batch_size = predictor.batch_size
        network = onnx.load(path) if content is None else onnx.load_from_string(content)
        if not any(MAPS in node.output for node in network.graph.node):
            raise UserError(f"{path} was exported without maps; train again with `dvc repro train`")
        shape = (None, None, None)
        kind = onnx.TensorProto.FLOAT
        network.graph.output.append(onnx.helper.make_tensor_value_info(MAPS, kind, shape))
        self._session = load_runtime().InferenceSession(network.SerializeToString())
        self._input = self._session.get_inputs()[0].name

    def maps(self, pictures: np.ndarray) -> np.ndarray:
        """How much each place speaks for (above 0) or against (below) the most probable class.

        Args:
            pictures: uint8 (n, image_size, image_size, 3), n at least 1.

        Returns:
            float32 (n, height, width); a place is a cell of late features of the network.
        """
        return in_batches(
            lambda batch: self._session.run([MAPS], {self._input: batch})[0],
            pictures,
            self._batch_size,
        )


def milliseconds_per_picture(
    answer: Callable[[np.ndarray], np.ndarray], picture: np.ndarray
) -> float:
    """How long an answer for one picture alone takes on this machine, the median of 50.

    Args:
        answer: a network's ``probabilities``.
        picture: uint8 (image_size, image_size, 3).
    """
    seconds = []
    for _ in range(5 + 50):  # the first five are to warm up
        began = time.perf_counter()
        answer(picture[None])
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[5:])
