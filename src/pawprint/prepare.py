"""Prepare: a folder of pictures becomes arrays, a manifest and a summary."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pawprint.config import project_root, run_stage
from pawprint.errors import UserError
from pawprint.files import replacing_folder
from pawprint.images.audit import read_files, refuse_unusable
from pawprint.images.layout import find_pictures
from pawprint.images.source import opened
from pawprint.images.split import assign_splits
from pawprint.images.store import MANIFEST, SUMMARY, Summary, summarize, write_prepared
from pawprint.paths import Paths
from pawprint.schema import Config

log = logging.getLogger(__name__)


def prepare(
    images: Path,
    out: Path,
    *,
    image_size: int,
    seed: int,
    validation_fraction: float,
    test_fraction: float,
    max_refused_fraction: float = 0.1,
    source: str | None = None,
) -> Summary:
    """Read, check, split and store the pictures; the same input gives the same bytes.

    Args:
        images: A folder (or an archive of one) with a sub-folder per class, or with such folders
            inside train, validation and test folders.
        out: The folder to write; an earlier one is replaced only on success.
        image_size: Side of the stored square pictures in pixels, 1 or more.
        seed: Draws the splits.
        validation_fraction: Part of each class to hold out, above 0 and below 1, where no
            validation folder is given.
        test_fraction: The same for testing.
        max_refused_fraction: Part of the files, 0 to 1, that may be unreadable. Defaults to 0.1.
        source: The name of ``images`` in the summary. Defaults to its path.

    Returns:
        What ``summary.json`` says.

    Raises:
        UserError: The pictures cannot be used, or ``out`` cannot be written; an earlier ``out``
            stays as it was.
    """
    _check_fractions(validation_fraction, test_fraction)
    _check_out(out, images)
    with opened(images, beside=out) as root:
        layout = find_pictures(root, images)
        log.info(
            "Reading %s files of %d classes in %s.",
            f"{len(layout.files):,}",
            len(layout.class_names),
            images,
        )
        with (
            replacing_folder(out) as folder,
            _scratch(folder, len(layout.files), image_size) as pixels,
        ):
            records = read_files(layout.files, pixels)
            refuse_unusable(records, images, max_refused_fraction=max_refused_fraction)
            splits = assign_splits(
                records,
                images,
                seed=seed,
                validation_fraction=validation_fraction,
                test_fraction=test_fraction,
            )
            summary = summarize(
                records,
                splits,
                layout,
                images=source or str(images),
                image_size=image_size,
                seed=seed,
            )
            write_prepared(folder, records, splits, pixels, summary)
    _tell(summary, out)
    return summary


@contextmanager
def _scratch(folder: Path, pictures: int, image_size: int) -> Iterator[np.ndarray]:
    """Room on disk for all pictures: which can be read, and so the splits, is known only later."""
    shape = (pictures, image_size, image_size, 3)
    needed = 2 * int(np.prod(shape, dtype=np.int64))  # the splits are a second copy
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f'The disk of "{folder.parent}" has {free / 1e9:.1f} GB free, but {pictures:,} '
            f"pictures of {image_size} pixels need {needed / 1e9:.1f} GB: "
            "free some, or lower image_size."
        )
    path = folder / ".scratch.npy"
    try:
        yield np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    finally:
        path.unlink()


def _check_fractions(validation_fraction: float, test_fraction: float) -> None:
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise UserError(f"{name} is {fraction:g}: choose one above 0 and below 1.")
    if validation_fraction + test_fraction >= 1:
        raise UserError(
            f"validation_fraction ({validation_fraction:g}) and test_fraction "
            f"({test_fraction:g}) leave nothing to train on: choose a sum below 1."
        )


def _check_out(out: Path, images: Path) -> None:
    """``out`` will be replaced as a whole: nothing else may be lost with it."""
    source, target = images.resolve(), out.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise UserError(
            f'The output "{out}" and the pictures "{images}" lie one in the other: '
            "choose an output folder beside the pictures."
        )
    if not out.exists():
        return
    is_prepared = any((out / name).exists() for name in (SUMMARY, MANIFEST))
    if not out.is_dir() or (not is_prepared and any(out.iterdir())):
        raise UserError(
            f'The output "{out}" holds something else, which would be lost: '
            "choose another folder, or remove it."
        )


def _tell(summary: Summary, out: Path) -> None:
    if summary.refused:
        log.warning(
            "Left out %d of %d files as unreadable; %s lists each with its problem.",
            len(summary.refused),
            len(summary.refused) + sum(part.pictures for part in summary.splits.values()),
            out / SUMMARY,
        )
    counts = ", ".join(f"{part.pictures:,} {name}" for name, part in summary.splits.items())
    log.info("Wrote %s pictures to %s.", counts, out)


def main() -> None:
    """Prepare the configured pictures."""
    run_stage("prepare", _stage)


def _stage(config: Config) -> None:
    paths = Paths(project_root())
    prepare(
        paths.given(config.images),
        paths.prepared,
        image_size=config.image_size,
        seed=config.seed,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        max_refused_fraction=config.max_refused_fraction,
        source=config.images,
    )


if __name__ == "__main__":
    main()
