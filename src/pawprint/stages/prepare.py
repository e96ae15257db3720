"""Prepare: a folder of pictures becomes arrays, a manifest and a summary."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pawprint.config.compose import project_root
from pawprint.config.paths import Paths
from pawprint.config.schema import Config
from pawprint.data.audit import (
    Audit,
    audit_files,
    conflicts,
    refuse_left_out,
    refuse_unusable,
)
from pawprint.data.copies.find import Copies, find_copies, group_copies
from pawprint.data.copies.fingerprint import COLOURS, THUMB
from pawprint.data.image_array import bytes_of_one, complete, pictures_file
from pawprint.data.layout import Layout, find_pictures
from pawprint.data.page.audit_page import audit_page, thumbnails_of
from pawprint.data.page.tables import write_tables
from pawprint.data.picture import MOST_PIXELS, pixels_at_most
from pawprint.data.reading.cache import PictureCache
from pawprint.data.reading.files import Reading, file_records, read_files, settings_key
from pawprint.data.resize import SQUASH
from pawprint.data.sources.address import without_credentials
from pawprint.data.sources.source import name_of, open_images
from pawprint.data.split import assign_splits
from pawprint.data.store import MANIFEST, SUMMARY, Summary, summarize, write_manifest
from pawprint.data.unlabelled import (
    UNLABELLED,
    find_unlabelled,
    judge_unlabelled,
    unlabelled_folder,
    write_unlabelled,
)
from pawprint.pages.render import link_from
from pawprint.system.errors import UserError
from pawprint.system.files import mend, replacing_file, replacing_folder, write_json
from pawprint.system.lock import locked
from pawprint.system.terminal import can_print

log = logging.getLogger(__name__)

_LOCK_TIMEOUT = 5  # seconds: what was killed a moment ago still holds the lock


def prepare(
    images: Path | str,
    out: Path,
    *,
    image_size: int,
    seed: int,
    validation_fraction: float,
    test_fraction: float,
    resize: str = SQUASH,
    splits: list[str] | None = None,
    near_duplicates: bool = True,
    max_refused_fraction: float = 0.1,
    max_megapixels: float = MOST_PIXELS / 1e6,
    unlabelled: Path | str | None = None,
    source: str | None = None,
    unlabelled_source: str | None = None,
    report: Path | None = None,
    downloads: Path | None = None,
) -> Summary:
    """Read, check, split and store the pictures; the same input gives the same bytes.

    What earlier calls read is remembered in a hidden folder next to ``out``: only new pictures are
    decoded. A call that was killed goes on from there.

    Args:
        images: a folder or an archive of one, or the address of either, with a sub-folder per
            class, or with such folders inside train, validation and test folders.
        out: the folder to write; an earlier one is replaced only on success.
        image_size: side of the stored square pictures in pixels, 1 or more.
        seed: draws the splits.
        validation_fraction: part of each class to hold out, above 0 and below 1, where no
            validation folder is given.
        test_fraction: the same for testing; both together below 1.
        resize: "squash", "crop" or "pad". Defaults to "squash".
        splits: the folders of given splits, see ``find_pictures``. Defaults to None: their names
            tell.
        near_duplicates: whether pictures that only look the same are copies too. Defaults to True.
        max_refused_fraction: part of the files, 0 to 1, that may be left out. Defaults to 0.1.
        max_megapixels: of a picture; larger ones are refused, undecoded. Defaults to 200.
        unlabelled: pictures without labels, a folder with sub-folders or not, an archive of one
            or the address of either. Defaults to none.
        source: the name of ``images`` in the summary. Defaults to its path.
        unlabelled_source: the same of ``unlabelled``.
        report: a folder for ``audit.html``, its tables and ``metrics.json``. Defaults to none.
        downloads: a folder for downloads. Defaults to one next to ``out``.

    Returns:
        What ``summary.json`` says.

    Raises:
        UserError: the pictures cannot be used, or ``out`` cannot be written; an earlier ``out``
            stays as it was.
    """
    for given in (images, unlabelled):
        _check_out(out, given)
    most = int(max_megapixels * 1e6)
    with (
        _writing(out),
        open_images(images, out, downloads) as root,
        _opened(unlabelled, out, downloads) as more,
        pixels_at_most(most),
    ):
        # Find the pictures and their classes.
        name = name_of(images)
        layout = find_pictures(root, name, splits)
        _warn(layout.notes)
        counts = f"{len(layout.files):,} files of {len(layout.class_names)} classes"
        log.info("reading %s in %s", counts, name)
        others = find_unlabelled(more, name_of(unlabelled)) if more and unlabelled else []
        files, count = [*layout.files, *others], len(layout.files)
        if others:
            log.info("reading %s files without labels", f"{len(others):,}")

        # Read those that no earlier run has read.
        key = settings_key(image_size, resize)
        memory = out.with_name(f".{out.name}.memory")
        cache = PictureCache(memory, key, pictures_file(out, image_size), most)
        _check_disk(out, cache, len(files), image_size)
        reading = read_files(files, cache, image_size=image_size, resize=resize)
        facts = cache.records(reading.places)
        records = file_records(layout.files, facts[:count])
        refuse_unusable(records, name, max_refused_fraction=max_refused_fraction)

        # Find the copies, and judge what they mean.
        labels = [file.label for file in files]
        copies, compared = _find_copies(cache, reading, facts, labels, near_duplicates)
        # What has no label neither joins groups of what has one nor sets them apart.
        pairs = copies.pairs[(copies.pairs[:, :2] < count).all(axis=1)]
        exact = copies.exact[:count]
        groups = group_copies(exact, pairs, labels[:count])
        audit = audit_files(records, groups.tolist(), exact.tolist())
        refuse_left_out(audit, name, max_refused_fraction=max_refused_fraction)
        what, cure = conflicts(audit)
        _warn([f"{what}; none is in a split: {cure}"] if what else [])
        extra = None
        if others:
            of_labelled = zip(copies.groups[:count].tolist(), layout.files, strict=True)
            extra = judge_unlabelled(
                file_records(others, facts[count:]),
                copies.groups[count:].tolist(),
                {group: file.path for group, file in of_labelled if group >= 0},
                name_of(str(unlabelled)),
            )

        # Split, copies together.
        audit.splits = assign_splits(
            audit, name, seed=seed, validation=validation_fraction, test=test_fraction
        )
        summary = summarize(
            audit,
            layout,
            images=source or str(images),
            image_size=image_size,
            resize=resize,
            pixels=key,
            seed=seed,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            given_splits=splits,
            max_refused_fraction=max_refused_fraction,
            max_megapixels=max_megapixels,
            near_duplicates=near_duplicates,
            unlabelled=unlabelled_source or (unlabelled and str(unlabelled)),
            unlabelled_pictures=len(extra.taken) if extra else 0,
            unlabelled_digest=extra.digest() if extra else None,
        )
        if extra and (why := extra.left_out()):
            summary.notes.append(
                f"of {len(others):,} pictures without labels {len(others) - len(extra.taken):,} "
                f"are left out: {why}; {UNLABELLED} in {out} lists each"
            )
        _warn(summary.notes[len(layout.notes) :])

        # Store pictures, manifest and summary, all at once; then what the next run need not do.
        with replacing_folder(out) as folder:
            starts = cache.write_pictures(reading.places, pictures_file(folder, image_size))
            stored = starts >= 0
            complete(folder, image_size, starts[stored])
            rows = np.where(stored, np.cumsum(stored) - 1, -1)
            write_manifest(folder, audit, rows[:count])
            if extra:
                write_unlabelled(folder, extra, rows[count:])
            write_json(folder / SUMMARY, asdict(summary))
        cache.keep(reading.places, reading.statuses, starts, copies.pairs, compared)

        # Report, while the pictures are still there for their thumbnails.
        if report:
            # Pictures of an archive are gone with the run: a link would lead nowhere.
            page = _write_report(report, audit, layout, summary, link=root == Path(images))
            log.info("what was found in the pictures: %s", page)
    if summary.refused:
        left_out = f"{len(summary.refused)} of {count}"
        log.warning("left out %s files; %s lists each with its problem", left_out, out / SUMMARY)
    parts = {name: part.pictures for name, part in summary.splits.items()}
    parts |= {"unlabelled": summary.unlabelled_pictures} if extra else {}
    counts = ", ".join(f"{pictures:,} {name}" for name, pictures in parts.items())
    log.info("wrote %s pictures to %s; %s were decoded", counts, out, f"{reading.decoded:,}")
    return summary


def _find_copies(
    cache: PictureCache,
    reading: Reading,
    facts: np.ndarray,
    labels: list[str],
    near_duplicates: bool,
) -> tuple[Copies, np.ndarray]:
    """Which files are copies, by their records; and which were compared with all others."""
    # A picture that the last run had not is compared with all; the others were compared then.
    known = reading.places < cache.last
    known[known] = cache.compared[reading.places[known]]
    usable = facts["length"] > 0
    comparable = usable & ~facts["blank"] & (np.minimum(facts["width"], facts["height"]) >= THUMB)
    comparable &= near_duplicates
    contents = zip(facts["sha256"].tolist(), usable.tolist(), strict=True)
    copies = find_copies(
        [own if can else b"%d" % row for row, (own, can) in enumerate(contents)],  # no picture
        facts["hash"],
        facts["inner"],
        facts["mirrored"],
        cache.thumbs(reading.places),
        np.ascontiguousarray(facts["colours"]).view(np.int8).reshape(-1, *COLOURS),
        labels=labels,
        comparable=comparable,
        previous=(known, cache.pairs_among(reading.places)),
    )
    return copies, comparable & (copies.exact < 0)


def _warn(notes: list[str]) -> None:
    for note in notes:
        log.warning("%s", note)


def _write_report(
    folder: Path, audit: Audit, layout: Layout, summary: Summary, *, link: bool
) -> Path:
    """Write page, tables and figures; returns where the page is."""
    locations = {file.path: file.location for file in layout.files} if link else {}

    def link_of(path: str) -> str | None:
        return link_from(folder, locations[path]) if link else None

    write_tables(folder, audit)
    page = audit_page(
        audit,
        images=summary.images,
        class_names=summary.class_names,
        image_size=summary.image_size,
        resize=summary.resize,
        thumbnail=thumbnails_of(layout.files),
        link=link_of,
        notes=summary.notes,
    )
    with replacing_file(folder / "audit.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    write_json(folder / "metrics.json", audit.figures())
    return folder / "audit.html"


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Only one at a time writes ``out``; what a killed one left is put in order."""
    busy = f'another process is preparing pictures in "{out}": wait until it has ended'
    try:
        with locked(out.with_name(f".{out.name}.lock"), busy=busy, patience=_LOCK_TIMEOUT):
            mend(out)
            yield
    except OSError as error:
        if error.filename is None and not can_print():
            raise  # of standard output: the command line says so
        where = f" ({error.filename})" if error.filename else ""
        raise UserError(
            f'the prepared pictures cannot be written to "{out}" or next to it: {error.strerror}'
            f"{where}; free room on the disk or mend permissions, and run it again"
        ) from error


@contextmanager
def _opened(source: Path | str | None, out: Path, downloads: Path | None) -> Iterator[Path | None]:
    """The folder of the pictures without labels, None where there are none."""
    if source is None:
        yield None
        return
    with open_images(source, unlabelled_folder(out), downloads) as folder:
        yield folder


def _check_out(out: Path, images: Path | str | None) -> None:
    """``out`` will be replaced as a whole: nothing else may be lost with it."""
    if isinstance(images, Path):
        source, target = images.resolve(), out.resolve()
        if source == target or source in target.parents or target in source.parents:
            raise UserError(
                f'the output "{out}" and the pictures "{images}" lie one in the other: '
                "choose an output folder outside the pictures"
            )
    if not out.exists():
        return
    is_prepared = any((out / name).exists() for name in (SUMMARY, MANIFEST))
    if not out.is_dir() or (not is_prepared and any(out.iterdir())):
        raise UserError(
            f'the output "{out}" holds something else, which would be lost: '
            "choose another folder, or remove it"
        )


def _check_disk(out: Path, cache: PictureCache, pictures: int, image_size: int) -> None:
    """What is new needs room, and then a copy of all."""
    needed = (max(0, pictures - len(cache)) + pictures) * bytes_of_one(image_size)
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise UserError(
            f'the disk of "{out.parent}" has {free / 1e6:,.1f} MB free, but {pictures:,} '
            f"pictures of {image_size} pixels need {needed / 1e6:,.1f} MB more: "
            "free some, or lower image_size"
        )


def stage(config: Config) -> None:
    """Prepare the configured pictures."""
    paths = Paths(project_root())
    prepare(
        paths.pictures(config.images),
        paths.prepared,
        image_size=config.image_size,
        seed=config.seed,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        resize=config.resize,
        splits=config.splits,
        near_duplicates=config.near_duplicates,
        max_refused_fraction=config.max_refused_fraction,
        max_megapixels=config.max_megapixels,
        unlabelled=config.unlabelled and paths.pictures(config.unlabelled),
        source=without_credentials(config.images),
        unlabelled_source=config.unlabelled and without_credentials(config.unlabelled),
        report=paths.audit,
        downloads=paths.downloads,
    )
