"""The one exception that means "the person can mend this"."""


class UserError(Exception):
    """A mistake in what pawprint was given.

    Its message is one sentence that says what was wrong, where (file, key or value) and what
    to do. Entry points print that sentence without a traceback and exit with code 1.
    """


class BusyError(UserError):
    """Another process does the same at this moment."""
