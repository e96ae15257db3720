"""The one exception that means "the person can mend this", and what else becomes one."""

import errno
import textwrap
from collections.abc import Generator
from contextlib import contextmanager

# Errors of room and rights, which a person can mend; any other one is a fault of this code.
OF_THE_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
)

DISTRIBUTION = "pawprint-classifier"  # pawprint's name at package indexes
EXTRAS = {  # what each of its extras installs, by the names that are imported
    "train": ("dvc", "keras", "tensorflow", "tf2onnx"),
    "serve": ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn"),
    "search": ("optuna",),
    "workers": ("ray", "submitit"),
    "spark": ("pyspark",),
    "litert": ("ai_edge_litert",),
    "hub": ("keras_hub",),
    "s3": ("s3fs",),
}


class UserError(Exception):
    """A mistake in what pawprint was given.

    Its message is one sentence that says what was wrong, where (file, key or value) and what
    to do. Entry points print that sentence without a traceback and exit with code 1.
    """


def first_line(error: BaseException) -> str:
    """What an exception of another library says first, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def one_line(error: BaseException) -> str:
    """What an exception of another library says, as a part of a sentence of ours."""
    return textwrap.shorten(str(error), 200, placeholder=" …").rstrip(".")


def installing(module: str) -> str:
    """The command that installs a module which is missing, in backquotes.

    Args:
        module: as it is imported, with the name of its package first.
    """
    name = module.partition(".")[0]
    extra = next((extra for extra, names in EXTRAS.items() if name in names), None)
    return f"`pip install '{DISTRIBUTION}[{extra}]'`" if extra else f"`pip install {name}`"


class BusyError(UserError):
    """Another process does the same at this moment."""


@contextmanager
def files_explained() -> Generator[None]:
    """Say in a sentence, a ``UserError``, where the disk or its permissions stop the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        raise UserError(
            f"{error.filename or 'a file'} cannot be read or written: {error.strerror}; free room "
            "on the disk or mend permissions, then run the same command again"
        ) from error
