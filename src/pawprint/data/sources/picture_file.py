"""A picture's file from elsewhere, for one answer."""

from importlib.util import find_spec
from pathlib import Path

from pawprint.data.sources.address import shown
from pawprint.system.errors import UserError


def download_picture(url: str, folder: Path) -> Path:
    """Download the file at a URL into a folder.

    Raises:
        UserError: it cannot be downloaded, or is a folder.
    """
    if find_spec("aiohttp") is None:  # as in the image that serves
        raise UserError(
            f"{shown(url)} needs fsspec and aiohttp, which are not installed; download it, "
            "and give the file"
        )
    from pawprint.data.sources.download import download  # takes time to import

    file = download(url, folder)
    if file.is_dir():
        raise UserError(f"{shown(url)} is a folder; give the URLs of pictures")
    return file
