"""`python -m pawprint`: the same as the `pawprint` command."""

from pawprint.cli import main

if __name__ == "__main__":
    main()
