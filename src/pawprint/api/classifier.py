"""A network by its name, asked from a notebook or another program."""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from pawprint.api.answers import SIDE, Answer, Answers
from pawprint.config.compose import compose_tracking
from pawprint.data.decode import Source as PictureSource
from pawprint.data.decode import read_picture_with_facts
from pawprint.data.picture import MOST_PIXELS, PictureError, pixels_at_most
from pawprint.data.sources.address import is_address, shown
from pawprint.data.sources.picture_file import download_picture
from pawprint.inference.batch_prediction import classify, find_files
from pawprint.inference.predictor import Prediction, Predictor
from pawprint.registry.source import Source, open_network, with_facts
from pawprint.system.errors import UserError
from pawprint.tracking.location import stands_alone
from pawprint.tracking.names import CHALLENGER, CHAMPION, FORMS, NETWORK_FILE, is_file

if TYPE_CHECKING:
    from pawprint.inference.predictor import Explainer

OnePicture: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray
)
_VERSION = re.compile(r"v?(\d{1,15})")
_NAMES = f"{CHAMPION}, {CHALLENGER}, a version as v3, {FORMS}, or the folder of a project"


def load(which: str | os.PathLike[str] = CHAMPION) -> Classifier:
    """Open a trained network; neither TensorFlow nor the training's settings are needed.

    What a person may not expect of who answers is warned of, and in ``Classifier.notes``.

    Args:
        which: "champion" (the default) or "challenger" of the project of the current folder, a
            version of its registered model as "v3" or "3", "models:/NAME@ALIAS",
            "models:/NAME/VERSION", "runs:/RUN", an ONNX file that pawprint exported, or a folder:
            of a project, whose champion it is, or one that holds a champion's network alone, in
            `models/champion` as after `dvc pull`. Outside of a project, "models:/…" and "runs:/…"
            are looked for in the store at `MLFLOW_TRACKING_URI`.

    Returns:
        The network, ready to answer.

    Raises:
        UserError: there is no such network, the store does not answer, or ``which`` is of no such
            type.
    """
    classifier = _load(which)
    for note in classifier.notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return classifier


class Classifier:
    """A trained network, as ``pawprint.load`` opens it.

    Attributes:
        class_names: the classes, in the order of the probabilities.
        image_size: side in pixels of the square that the network sees of a picture.
        source: what the network is called, as "pawprint version 3", or its file.
        version: of the registered model; None where it is of none.
        run_id: the run that trained it; None where that is not known.
        threshold: least probability of an answer, by ``sure_precision`` in `params.yaml`; 0 for a
            file, and where every picture gets an answer.
        notes: sentences on what a person may not expect of who answers.
    """

    def __init__(self, source: Source, predictor: Predictor) -> None:
        self._predictor = predictor
        self._explainer: Explainer | None = None
        self.class_names = list(predictor.class_names)
        self.image_size = predictor.image_size
        self.source = source.name
        self.version = source.version
        self.run_id = source.run_id
        self.threshold = predictor.threshold
        self.notes = source.notes

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:10])
        more = f" and {len(self.class_names) - 10} more" if len(self.class_names) > 10 else ""
        return f"<Classifier {self.source}: {names}{more}; {self.image_size} pixels>"

    def predict(
        self, pictures: OnePicture | Iterable[OnePicture], *, threshold: float | None = None
    ) -> Answers:
        """Classify pictures, as `pawprint predict` does; the same file gets the same answer.

        A picture that cannot be read gets an answer too, whose ``problem`` says why.

        A file, bytes and a Pillow image are turned as their EXIF says, and transparency is put
        over white. A file's JPEG that is much larger than ``image_size`` is decoded at a part of
        its size, so that its answer differs slightly from that to all its pixels.

        Args:
            pictures: one picture, or any number of them, as a list or a generator. A picture is the
                path of a file; a URL; the content of a file as bytes; a Pillow image of any mode;
                or an array uint8 (height, width), or (height, width, channels) with 1, 3 (RGB) or
                4 channels. A folder means all pictures in it and its sub-folders, sorted, and an
                array uint8 (n, height, width, channels) n pictures.
            threshold: least probability of an answer, 0 to 1; a picture below it is "not sure".
                Defaults to that of the network.

        Returns:
            An answer per picture, in their order; of one picture a sequence of one.

        Raises:
            UserError: the threshold is out of range, a URL cannot be downloaded, or ``pictures`` is
                of no such type.
        """
        least = self.threshold if threshold is None else threshold
        if not isinstance(least, int | float | np.number) or not 0 <= least <= 1:
            raise UserError(f"threshold is {least}; give a number from 0 to 1")
        answers: list[Answer] = []
        with pixels_at_most(MOST_PIXELS):
            for of_files, group in itertools.groupby(_items(pictures), lambda one: one.is_path):
                answer = self._answer_files if of_files else self._answer_pixels
                for name, prediction, preview in answer(group):
                    prediction = replace(prediction, threshold=least)
                    answers.append(
                        Answer(
                            name or f"{prediction.path} {len(answers)}",
                            prediction.label,
                            prediction.probability,
                            prediction.probabilities,
                            prediction.problem,
                            preview,
                        )
                    )
        return Answers(answers, self.class_names, least)

    def explain(self, picture: OnePicture) -> Image.Image:
        """Show what the network looked at: the picture under what speaks for its answer.

        Args:
            picture: one, as ``predict`` takes it.

        Returns:
            The square that the network sees, grey, with colours where something speaks for the most
            probable class, the brighter the more; 160 pixels wide or more.

        Raises:
            UserError: it is not one picture or cannot be read, or the network was exported without
                maps.
        """
        from pawprint.evaluation.overlay import overlay  # takes time to import
        from pawprint.inference.predictor import Explainer

        items = list(itertools.islice(_items(picture), 2))
        if len(items) != 1:
            raise UserError("explain takes one picture; call it for each")
        with pixels_at_most(MOST_PIXELS):
            seen = self._see(items[0])
        if seen.pixels is None:
            raise UserError(f"{seen.name or 'the picture'} {seen.problem}")
        if self._explainer is None:
            self._predictor.check_unchanged()
            self._explainer = Explainer(self._predictor.path)
        (place_map,) = self._explainer.maps(seen.pixels[np.newaxis])
        return Image.fromarray(overlay(seen.pixels, place_map))

    def _answer_files(self, items: Iterable[_Item]) -> Iterator[_Answered]:
        for prediction in classify((str(one.source) for one in items), self._predictor):
            yield str(prediction.path), prediction, None

    def _answer_pixels(self, items: Iterable[_Item]) -> Iterator[_Answered]:
        """Answer what is in memory, a batch at a time, of which only small squares are kept."""
        predictor, seen = self._predictor, map(self._see, items)
        while some := list(itertools.islice(seen, predictor.batch_size)):
            pixels = [one.pixels for one in some if one.pixels is not None]
            rows = iter(predictor.probabilities(np.stack(pixels)).tolist() if pixels else [])
            for one in some:
                row = {} if one.problem else dict(zip(self.class_names, next(rows), strict=True))
                yield one.name, Prediction(one.kind, row, one.problem), one.preview

    def _see(self, item: _Item) -> _Seen:
        from pawprint.pages.render import jpeg_of

        size, resize = self._predictor.image_size, self._predictor.resize
        try:
            pixels, picture = read_picture_with_facts(_checked(item.source), size, resize)
        except PictureError as error:
            return _Seen(item.name, item.kind, problem=str(error))
        preview = None if item.is_path else jpeg_of(picture.image.copy(), SIDE)
        return _Seen(item.name, item.kind, pixels, preview)


@dataclass(frozen=True)
class _Item:
    """A picture that is to be answered."""

    source: Any  # a file's path as text, or what ``read_picture`` takes
    name: str = ""  # what to call it; empty for what has none
    kind: str = ""  # what to call it then, before its place

    @property
    def is_path(self) -> bool:
        return isinstance(self.source, str)


@dataclass(frozen=True)
class _Seen:
    """A picture as the network sees it, uint8 (image_size, image_size, 3), or what is wrong."""

    name: str
    kind: str
    pixels: np.ndarray | None = None
    preview: bytes | None = None
    problem: str | None = None


_Answered: TypeAlias = tuple[str, Prediction, bytes | None]


def _items(pictures: Any) -> Iterator[_Item]:
    """Each picture of what ``Classifier.predict`` is given.

    Raises:
        UserError: it is neither a picture nor a collection, or a URL cannot be downloaded.
    """
    if _is_one(pictures):
        pictures = [pictures]
    elif not _is_collection(pictures):
        raise UserError(
            f"predict was given a {type(pictures).__name__}; give paths, URLs, bytes, Pillow "
            "images or arrays"
        )
    for one in pictures:
        if isinstance(one, np.ndarray) and one.ndim == 4:
            yield from (_Item(array, kind="array") for array in one)
        elif isinstance(one, str | os.PathLike):
            yield from _items_at(os.fsdecode(one))
        elif isinstance(one, Image.Image):
            yield _Item(one, str(getattr(one, "filename", "") or ""), "image")
        elif isinstance(one, np.ndarray):
            yield _Item(one, kind="array")
        elif isinstance(one, bytes | bytearray | memoryview):
            yield _Item(bytes(one), kind="bytes")
        else:
            yield _Item(one, kind="picture")  # its answer says that it is none


def _checked(source: Any) -> PictureSource:
    """The source of a picture, where it is of a type that may be one.

    Raises:
        PictureError: it is not.
    """
    if isinstance(source, str | bytes | Image.Image | np.ndarray):
        return source
    raise PictureError(
        "is neither a path, a URL, bytes, a Pillow image nor an array, but of type "
        f"{type(source).__name__}"
    )


def _is_one(pictures: Any) -> bool:
    if isinstance(pictures, np.ndarray):
        return pictures.dtype.kind in "buifc"  # else it holds texts or objects
    return isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)


def _is_collection(pictures: Any) -> bool:
    """Whether it may hold pictures: an open file holds lines, a table columns, a tensor rows."""
    rank = getattr(pictures, "ndim", 1)
    is_other = isinstance(pictures, Mapping) or hasattr(pictures, "read") or rank != 1
    return isinstance(pictures, Iterable) and not is_other


def _items_at(path: str) -> Iterator[_Item]:
    """The files that a path or a URL means."""
    if is_address(path) and not os.path.lexists(path):
        with TemporaryDirectory(prefix="pawprint-") as folder:
            content = download_picture(path, Path(folder)).read_bytes()
        yield _Item(content, shown(path))
        return
    if path.startswith("~") and not os.path.lexists(path):  # no shell has seen it
        path = os.path.expanduser(path)  # noqa: PTH111
    yield from (_Item(file, file) for file in find_files([path], recursive=True))


def _load(which: str | os.PathLike[str]) -> Classifier:
    name = os.fspath(which) if isinstance(which, str | os.PathLike) else None
    if not isinstance(name, str):
        given = f"{which!r} of the type {type(which).__name__}"
        raise UserError(f"load was given {given}; give {_NAMES}")
    if isinstance(which, str):
        if which in (CHAMPION, CHALLENGER):
            return _of_project(f"@{which}")
        if match := _VERSION.fullmatch(which):
            return _of_project(f"/{match[1]}")
        if not is_file(which):
            alone = stands_alone(which)
            return Classifier(*open_network(which, None)) if alone else _of_project(which)
    # Whole, as the current folder may change before it is opened again; a link stays one.
    path = Path(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH100, PTH111
    if name and path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise UserError(f"{name or 'an empty name'} is no network; give {_NAMES}")
    source, predictor = open_network(str(path), None)
    # It was meant itself: it need not be the champion's.
    return Classifier(replace(with_facts(source, path.read_bytes()), notes=()), predictor)


def _of_project(name: str) -> Classifier:
    """A network that the project of the current folder knows.

    Args:
        name: as ``find_network`` takes it; without a model, as "@champion" or "/3", it is of the
            project's own.
    """
    tracking, precision = compose_tracking()
    if name.startswith(("@", "/")):
        name = f"models:/{tracking.registered_model}{name}"
    return Classifier(*open_network(name, tracking.uri, precision))


def _of_folder(folder: Path) -> Classifier:
    """The champion of a project, or the network in a folder of nothing else."""
    if not (folder / "dvc.yaml").is_file():
        for network in (folder / NETWORK_FILE, folder / "models" / CHAMPION / NETWORK_FILE):
            if network.is_file():
                source, predictor = open_network(str(network), None)
                return Classifier(with_facts(source, network.read_bytes()), predictor)
    with chdir(folder):  # what tells of a project is the current folder
        return _of_project(f"@{CHAMPION}")
