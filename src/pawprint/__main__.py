"""`python -m pawprint`: the same as the `pawprint` command."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; Ctrl-C ends it quietly also before it listens to it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "win32":
        sys.exit("error: pawprint runs on Linux and macOS; on Windows, run it within WSL")
    from pawprint import cli  # here, because it takes a while

    cli.main()


if __name__ == "__main__":
    main()
