"""The one exception that means "the person can mend this"."""


class UserError(Exception):
    """A mistake in what pawprint was given.

    Its message is one sentence that says what was wrong, where (file, key or value) and what
    to do. Entry points print that sentence without a traceback and exit with code 1.
    """


def first_line(error: BaseException) -> str:
    """What an exception of another library says first, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class BusyError(UserError):
    """Another process does the same at this moment."""
