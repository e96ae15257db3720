"""What the folders mean: class folders, or class folders inside given splits."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pawprint.data.folders import files_below, holds_pictures, is_picture_name, listed, visible
from pawprint.data.sources.address import escaped, named
from pawprint.system.errors import UserError

_WORDS = {  # as Hugging Face's `datasets` reads them
    "train": ("train", "training", "trainset"),
    "validation": ("val", "valid", "validation", "valset", "dev"),
    "test": ("test", "testing", "testset", "eval", "evaluation", "holdout"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_FILLERS = {"set", "data", "dataset", "images"}  # "training_set" says no more than "training"


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One file of a class folder.

    Attributes:
        location: where to open it; a string, for there may be very many
        path: its name: relative to the images, with forward slashes
        label: its class, the folder's name in the composed form of Unicode (NFC)
        split: "train", "validation" or "test" where its folder says so, else None
    """

    location: str
    path: str
    label: str
    split: str | None


@dataclass(frozen=True)
class Layout:
    """The files of all classes, and what was passed over.

    Attributes:
        files: sorted by path
        class_names: sorted, two or more
        ignored: folders next to the splits that were not read
        notes: sentences about what a person may not expect, such as pictures passed over
    """

    files: list[PictureFile]
    class_names: list[str]
    ignored: list[str]
    notes: list[str]


def find_pictures(root: Path, images: Path | str, splits: Sequence[str] | None = None) -> Layout:
    """Find the class folders under ``root`` and every file in them.

    Each folder is a class; or, where the names of the folders tell, a split with class folders
    inside. One folder around everything is stepped into. Hidden files are skipped.

    Args:
        root: the folder to read.
        images: what the person called it (an archive, perhaps), named in errors.
        splits: the folders of training; training and testing; or training, validation and
            testing. Empty where every folder is a class. Defaults to None: the names tell.

    Raises:
        UserError: there is nothing, no class folder, one class only, a class folder with no
            files, a class in a given split that training does not have, one folder for two
            classes, or folders that may be splits as well as classes.
    """
    inner = _inside_wrapping(root, splits)
    shown = _ShownPaths(root, images)
    folders, files = _folders(inner), visible(inner)[1]
    if not folders:
        what = f"holds {len(files)} files but no class folders" if files else "is empty"
        raise UserError(
            f"{shown(inner)} {what}: make a sub-folder per class and move the pictures there"
        )
    read = _Reader(shown)
    for folder in (inner, *inner.parents):
        if not folder.is_relative_to(root):
            break
        read.pass_over_files(folder)
    if splits is None:
        given = _told_splits(inner, folders, shown)
    else:
        given = _named_splits(inner, splits, shown)
    if given:
        _refuse_one_for_two(list(given.items()), shown)
        class_names, ignored = _read_splits(folders, given, read)
        return Layout(read.sorted_files(), class_names, ignored, read.all_notes())
    if splits is None:
        read.notes += [
            f'"{escaped(folder.name)}" is taken for a class, as the folders beside it: if it is '
            "the training split, name the folders of training and testing in splits"
            for folder in folders
            if _split_told(folder) == "train" and _folders(folder)
        ]
    class_names = read.classes(inner, None)
    return Layout(read.sorted_files(), class_names, [], read.all_notes())


class _ShownPaths:
    """Names a path as the person knows it, and relative to the images."""

    def __init__(self, root: Path, images: Path | str) -> None:
        self.root, self.images = root, images
        self._start = 0 if root == Path() else len(str(root))  # of what is inside

    def __call__(self, path: Path) -> str:
        inside = path.relative_to(self.root).parts
        return f'"{escaped("/".join([str(self.images).rstrip("/"), *inside]))}"'

    def relative(self, path: Path | str) -> str:
        inside = str(path)[self._start :].lstrip(os.sep)  # quicker than Path.relative_to
        return _text(inside.replace(os.sep, "/"))


class _Reader:
    """Gathers the files of class folders, and what is passed over on the way."""

    def __init__(self, shown: _ShownPaths) -> None:
        self.shown = shown
        self.files: list[PictureFile] = []
        self.notes: list[str] = []
        self._hidden: list[str] = []
        self._beside: list[str] = []  # pictures that are in no class folder

    def classes(self, folder: Path, split: str | None) -> list[str]:
        """Read the class folders in ``folder``; their names, sorted."""
        by_label: dict[str, list[Path]] = {}
        for path in _folders(folder):
            by_label.setdefault(unicodedata.normalize("NFC", _text(path.name)), []).append(path)
        if len(by_label) == 1 and split in (None, "train"):
            raise UserError(
                f'{self.shown(folder)} holds only one class folder ("{next(iter(by_label))}"), but '
                "a classifier needs at least two: add a sub-folder for another class"
            )
        named = [(label, path) for label, paths in by_label.items() for path in paths]
        _refuse_one_for_two(named, self.shown)
        for label, paths in by_label.items():
            before = len(self.files)
            excluded = {os.path.realpath(self.shown.root)}
            for path in paths:
                self.files += (
                    PictureFile(file, self.shown.relative(file), label, split)
                    for file in files_below(path, excluded, hidden=self._hidden)
                )
            if len(self.files) == before:
                raise UserError(
                    f"the class folder {self.shown(paths[0])} holds no pictures: add some, or take "
                    "it away"
                )
        return sorted(by_label)

    def pass_over_files(self, folder: Path) -> None:
        """Note the pictures that lie in ``folder`` itself, and what is hidden there."""
        _, files, hidden = listed(folder)
        self._beside += [file for file in files if is_picture_name(file)]
        self._hidden += hidden

    def sorted_files(self) -> list[PictureFile]:
        """The files by path."""
        return sorted(self.files, key=lambda file: file.path)

    def all_notes(self) -> list[str]:
        """All notes; what was passed over comes last."""
        beside = [self.shown.relative(file) for file in self._beside]
        hidden = [self.shown.relative(path) for path in self._hidden if holds_pictures(path)]
        notes = list(self.notes)
        if beside:
            notes.append(
                f"pictures beside the class folders were passed over ({named(beside)}): move them "
                "into one if they are wanted"
            )
        if hidden:
            notes.append(
                f"hidden pictures were passed over ({named(hidden)}): give what holds them a name "
                "that does not begin with a dot if they are wanted"
            )
        return notes


def _read_splits(
    folders: list[Path], given: dict[str, Path], read: _Reader
) -> tuple[list[str], list[str]]:
    """Read the class folders of each split; the classes, and the folders that are no split."""
    shown = read.shown
    ignored = []
    for folder in folders:
        if not any(path.is_relative_to(folder) for path in given.values()):
            ignored.append(shown.relative(folder))
            if (split := _split_told(folder)) and not _folders(folder):
                read.notes.append(
                    f'"{ignored[-1]}" has no class folders, so it is no {split} split'
                )
            elif holds_pictures(str(folder)):
                read.notes.append(f'"{ignored[-1]}" is no split and was passed over')
    class_names: list[str] = []
    for split, folder in given.items():  # train is the first
        inside = _inside_twin(folder)
        for level in dict.fromkeys([folder, inside]):
            read.pass_over_files(level)
        labels = read.classes(inside, split)
        if split == "train":
            class_names = labels
        if foreign := [label for label in labels if label not in class_names]:
            raise UserError(
                f'the class "{foreign[0]}" is in {shown(folder)} but not among the training '
                f"classes {named(class_names)}: add it there or take it away here"
            )
        if empty := [label for label in class_names if label not in labels]:
            what = "the class {} has" if len(empty) == 1 else "the classes {} have"
            where = shown.relative(folder)
            read.notes.append(f'{what.format(named(empty))} no pictures in "{where}"')
    return class_names, ignored


def _told_splits(inner: Path, folders: list[Path], shown: _ShownPaths) -> dict[str, Path]:
    """The folder of each split, train first, as their names tell; none where all are classes."""
    if _are_splits(folders):
        given: dict[str, Path] = {}
        for folder in folders:
            split = _split_told(folder)
            if split and _folders(folder):
                if split in given:
                    raise UserError(
                        f"{shown(given[split])} and {shown(folder)} are both a {split} split: "
                        "keep one of them, or name the folders of training, validation and "
                        "testing in splits"
                    )
                given[split] = folder
        return {split: given[split] for split in _WORDS if split in given}
    names = named([folder.name for folder in folders])
    if same := _same_folders_inside(folders):
        both = f"the folders {names} in {shown(inner)} hold sub-folders of the same names"
        if all(_split_told(Path(name)) for name in same):
            swapped = f'"{escaped(same[-1])}/{escaped(folders[0].name)}"'
            raise UserError(
                f"{both} ({named(same)}), which look like splits: class folders must lie within "
                f"splits, as {swapped}; move them so, or set splits: [] to draw the splits anew "
                "from all pictures of each class"
            )
        raise UserError(
            f"{both} ({named(same)}): if they are splits, name the one of training, then that of "
            f"testing, as in splits: {_splits_to_name(folders)}; if they are classes, set "
            "splits: []"
        )
    told = [_split_told(folder) for folder in folders]
    if None not in told and (len(set(told)) > 1 or all(map(_says_split_alone, folders))):
        raise UserError(
            f"the folders {names} in {shown(inner)} look like splits, but there are no class "
            "folders inside a training split: make a sub-folder per class in each, or set "
            "splits: [] if they are classes"
        )
    return {}


def _splits_to_name(folders: list[Path]) -> str:
    """What ``splits`` may be, as far as names tell which of some folders trains and which tests."""
    found: dict[str, Path | None] = {}
    for split in ("train", "test"):
        told = [folder for folder in folders if _split_told(folder) == split]
        found[split] = told[0] if len(told) == 1 else None
    if len(folders) == 2:  # one tells of the other
        train, test = found["train"], found["test"]
        found["train"] = train or next((f for f in folders if test and f != test), None)
        found["test"] = test or next((f for f in folders if train and f != train), None)
    shown = [f'"{escaped(f.name)}"' if f else f"{split.upper()}ING" for split, f in found.items()]
    return f"[{', '.join(shown)}]"


def _named_splits(inner: Path, splits: Sequence[str], shown: _ShownPaths) -> dict[str, Path]:
    """The folder of each split, train first, as a person named them."""
    if len(splits) > len(_WORDS):
        raise UserError(
            f"splits names {len(splits)} folders: name one for training, or two for training and "
            "testing, or three for training, validation and testing"
        )
    names = ("train", "test") if len(splits) < len(_WORDS) else tuple(_WORDS)
    given = {name: inner / folder for name, folder in zip(names, splits, strict=False)}
    for folder in given.values():
        inside = folder.relative_to(inner) if folder.is_relative_to(inner) else None
        if not inside or ".." in inside.parts or not folder.is_dir() or not _folders(folder):
            raise UserError(
                f"splits names {shown(folder) if inside else folder}, which is no folder with "
                f"class folders in {shown(inner)}: name some of "
                f"{named([path.name for path in _folders(inner)])}"
            )
    return given


def _refuse_one_for_two(named: Sequence[tuple[str, Path]], shown: _ShownPaths) -> None:
    """Refuse one folder, which links may lead to, for two classes or splits."""
    seen: dict[str, tuple[str, Path]] = {}
    for name, path in named:
        first_name, first = seen.setdefault(os.path.realpath(path), (name, path))
        if first_name != name:
            raise UserError(
                f'{shown(first)} is "{escaped(first_name)}", and {shown(path)} is '
                f'"{escaped(name)}", but they are one folder: take one of the two away'
            )


def _split_told(folder: Path) -> str | None:
    """The split that a folder's name tells, as "seg_train" or "Training Data" do."""
    told = {_SPLIT_OF[word] for word in _words(folder) if word in _SPLIT_OF}
    return told.pop() if len(told) == 1 else None


def _says_split_alone(folder: Path) -> bool:
    """Whether a folder's name says nothing but its split."""
    words = set(_words(folder)) - _FILLERS
    return bool(words) and words <= set(_SPLIT_OF)


def _words(folder: Path) -> list[str]:
    return [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", folder.name)]


def _are_splits(folders: list[Path]) -> bool:
    """Whether folders are splits by their names: one that trains, and others or nothing beside."""
    trains = [f for f in folders if _split_told(f) == "train" and _folders(f)]
    others = [f for f in folders if _split_told(f) not in ("train", None)]
    if trains and any(_says_split_alone(f) or _folders(f) for f in others):
        return True
    sure = [f for f in trains if _says_split_alone(f)]  # beside others, "train" may be a vehicle
    return bool(sure) and (len(folders) == 1 or any(f.name.lower() != "train" for f in sure))


def _same_folders_inside(folders: list[Path]) -> list[str]:
    """The names of the folders in each of ``folders``, if they are the same; else none."""
    largest: set[str] = set()
    found = []
    for folder in folders:
        names = {unicodedata.normalize("NFC", f.name) for f in _folders(_inside_twin(folder))}
        if not names or not (names <= largest or names >= largest):
            return []
        found.append(names)
        largest |= names
    return sorted(largest) if len(folders) > 1 and len(largest) > 1 else []


def _inside_wrapping(root: Path, splits: Sequence[str] | None) -> Path:
    """Step through folders that only wrap one other folder of folders."""
    inner, visited = root, {root.resolve()}
    while len(folders := _folders(inner)) == 1 and (inside := _folders(folders[0])):
        if splits is None and _are_splits(folders) and not _are_splits(inside):
            break
        if splits and (inner / splits[0]).is_dir():
            break
        inner = folders[0]
        if inner.resolve() in visited:  # a link that leads back up
            break
        visited.add(inner.resolve())
    return inner


def _inside_twin(folder: Path) -> Path:
    """Step from training_set into training_set/training_set, as some archives have it."""
    folders = _folders(folder)
    is_twin = len(folders) == 1 and folders[0].name.lower() == folder.name.lower()
    return folders[0] if is_twin and _folders(folders[0]) else folder


def _folders(folder: Path) -> list[Path]:
    return [Path(inner) for inner in visible(folder)[0]]


def _text(name: str) -> str:
    """Make a file name text that can be written: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()
