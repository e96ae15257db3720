"""What the folders mean: class folders, or class folders inside given splits."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pawprint.data.sources.address import escaped
from pawprint.system.errors import UserError

_ALIASES = {
    "train": ("train", "training", "training_set"),
    "validation": ("val", "valid", "validation", "validation_set"),
    "test": ("test", "testing", "test_set"),
}
_SPLIT_OF = {alias: split for split, aliases in _ALIASES.items() for alias in aliases}
_HIDDEN = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One file of a class folder.

    Attributes:
        location: where to open it; a string, for there may be very many
        path: its name: relative to the images, with forward slashes
        label: its class
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
        notes: sentences about what a person may not expect
    """

    files: list[PictureFile]
    class_names: list[str]
    ignored: list[str]
    notes: list[str]


def find_pictures(root: Path, images: Path | str) -> Layout:
    """Find the class folders under ``root`` and every file in them.

    It is a split layout when a folder called as a training split holds folders; otherwise each
    folder is a class. One folder around everything is stepped into. Hidden files are skipped.

    Args:
        root: the folder to read.
        images: what the person called it (an archive, perhaps), named in errors.

    Raises:
        UserError: there is nothing, no class folder, one class only, a class folder with no
            files, or a class in a given split that training does not have.
    """
    inner = _inside_wrapping(root)
    shown = _ShownPaths(root, images)
    folders, (_, files) = _folders(inner), visible(inner)
    if not folders:
        what = f"holds {len(files)} files but no class folders" if files else "is empty"
        raise UserError(
            f"{shown(inner)} {what}: make a sub-folder per class and move the pictures there"
        )
    if _is_split(inner):
        return _split_layout(folders, shown)
    if all(folder.name.lower() in _SPLIT_OF for folder in folders):
        names = _listed([folder.name for folder in folders])
        raise UserError(
            f"the folders {names} in {shown(inner)} look like splits, but there are no class "
            "folders inside a training split: make a sub-folder per class in each"
        )
    pictures, class_names = _classes(inner, None, shown)
    return Layout(sorted(pictures, key=lambda file: file.path), class_names, [], [])


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


def _split_layout(folders: list[Path], shown: _ShownPaths) -> Layout:
    given: dict[str, Path] = {}
    ignored, notes = [], []
    for folder in folders:
        split = _SPLIT_OF.get(folder.name.lower())
        if split is None or not visible(folder)[0]:
            ignored.append(shown.relative(folder))
            if split is not None:
                notes.append(f'"{ignored[-1]}" has no class folders, so it is no {split} split')
        elif split in given:
            raise UserError(
                f"{shown(given[split])} and {shown(folder)} are both a {split} split: "
                "keep one of them"
            )
        else:
            given[split] = folder

    files, class_names = _classes(_inside_twin(given.pop("train")), "train", shown)
    for split, folder in given.items():
        held_out, labels = _classes(_inside_twin(folder), split, shown)
        if foreign := [label for label in labels if label not in class_names]:
            raise UserError(
                f'the class "{foreign[0]}" is in {shown(folder)} but not among the training '
                f"classes {_listed(class_names)}: add it there or take it away here"
            )
        empty = [label for label in class_names if label not in labels]
        where = shown.relative(folder)
        notes += [f'the class "{label}" has no pictures in "{where}"' for label in empty]
        files += held_out
    return Layout(sorted(files, key=lambda file: file.path), class_names, ignored, notes)


def _classes(
    folder: Path, split: str | None, shown: _ShownPaths
) -> tuple[list[PictureFile], list[str]]:
    folders = _folders(folder)
    class_names = sorted(_text(path.name) for path in folders)
    if len(folders) == 1 and split in (None, "train"):
        raise UserError(
            f'{shown(folder)} holds only one class folder ("{class_names[0]}"), but a classifier '
            "needs at least two: add a sub-folder for another class"
        )
    pictures = []
    for path in folders:
        label = _text(path.name)
        found = [
            PictureFile(file, shown.relative(file), label, split)
            for file in files_below(path, {os.path.realpath(shown.root)})
        ]
        if not found:
            raise UserError(
                f"the class folder {shown(path)} holds no pictures: add some, or take it away"
            )
        pictures += found
    return pictures, class_names


def _is_split(folder: Path) -> bool:
    return any(_SPLIT_OF.get(f.name.lower()) == "train" and visible(f)[0] for f in _folders(folder))


def _inside_wrapping(root: Path) -> Path:
    """Step through folders that only wrap one other folder of folders."""
    inner, visited = root, {root.resolve()}
    while not _is_split(inner) and len(folders := _folders(inner)) == 1 and _folders(folders[0]):
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


def visible(folder: Path | str) -> tuple[list[str], list[str]]:
    """List the folders and the files directly in ``folder``, sorted, without the hidden."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted((e for e in scan if not is_hidden(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise UserError(
            f'the folder "{folder}" cannot be read ({error.strerror}): mend its permissions'
        ) from error
    folders = [entry.path for entry in entries if _is_folder(entry)]
    # What is no folder counts as a file, also a broken link or a pipe: listed as unreadable.
    files = [entry.path for entry in entries if not _is_folder(entry)]
    return folders, files


def files_below(
    folder: Path | str, excluded: set[str] | None = None, *, keep_unreadable: bool = False
) -> Iterator[str]:
    """Yield the files in a folder and its sub-folders, without the hidden.

    A folder is read once, however many links lead to it.

    Args:
        folder: where to look.
        excluded: real paths of folders not to read. Defaults to none.
        keep_unreadable: whether a folder that cannot be read is yielded as if it were a file.
            Defaults to False.

    Raises:
        UserError: a folder cannot be read.
    """
    visited = set(excluded or ())
    waiting = [str(folder)]
    while waiting:  # not by calling itself: folders may lie very deep
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real not in visited:
            visited.add(real)
            try:
                folders, files = visible(folder)
            except UserError:
                if not keep_unreadable:
                    raise
                folders, files = [], [folder]
            waiting += reversed(folders)
            yield from files


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of a person's pictures."""
    return name.startswith(".") or name.lower() in _HIDDEN


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _text(name: str) -> str:
    """Make a file name text that can be written: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _listed(names: list[str]) -> str:
    shown = ", ".join(f'"{escaped(name)}"' for name in names[:10])
    return shown + (", …" if len(names) > 10 else "")
