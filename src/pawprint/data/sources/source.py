"""The folder of the pictures: a person's own, or one unpacked for as long as it is needed."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pawprint.data.sources.address import escaped, is_address, shown
from pawprint.data.sources.archive import unpack
from pawprint.system.errors import UserError
from pawprint.system.lock import locked


@contextmanager
def open_images(images: Path | str, output: Path, downloads: Path | None = None) -> Iterator[Path]:
    """Yield a folder with the pictures of ``images``.

    An archive (zip, or tar plain or compressed with gzip, bzip2 or xz; told by its content) is
    unpacked into a hidden folder next to ``output``, which will need room on the same disk anyway.
    It is removed on the way out, even on an exception; one that a killed process left is removed
    on the next way in. Only one process at a time has it.

    Args:
        images: folder, archive, or the address of either.
        output: what is made of the pictures.
        downloads: where downloads are kept. Defaults to "downloads" next to ``output``.

    Raises:
        UserError: ``images`` is missing, is no archive, is damaged, cannot be downloaded, or holds
            a member that cannot be unpacked safely.
    """
    source = Path(images)
    if is_address(images):
        from pawprint.data.sources.download import download  # takes time to import

        source = download(str(images), downloads or output.with_name("downloads"))
    if source.is_dir():
        yield source
        return
    if not source.exists():
        raise UserError(
            f'the pictures "{name_of(images)}" were not found: '
            "set `images` to a folder or an archive that exists"
        )
    folder = output.with_name(f".{output.name}.pictures")
    lock = folder.with_name(f"{folder.name}.lock")
    busy = f"another process unpacks pictures into {folder}; waiting for it"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, busy=busy, patience=None))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
            folder.mkdir()
        except OSError as error:
            raise UserError(
                f'the archive cannot be unpacked in "{folder.parent}" ({error.strerror}): see that '
                "there is room and that the folder is yours to write"
            ) from error
        unpack(source, folder, name=name_of(images))
        yield folder


def name_of(images: Path | str) -> str:
    """What to call ``images`` in sentences and records: an address loses what may be secret."""
    return shown(str(images)) if is_address(images) else escaped(str(images))
