"""Bringing back what DVC took away before a stage that then failed."""

import logging
import os
from pathlib import Path


def bring_back(root: Path) -> None:
    """Put the outputs of the running DVC stage back as its last success left them.

    DVC removes a stage's outputs before it runs the command; its lock file and cache still know
    them. Outside DVC nothing was removed, and nothing is done.
    """
    name = os.environ.get("DVC_STAGE")
    if not name:
        return
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        with Repo(str(root)) as repo:
            for out in repo.stage.load_one(name=name).outs:
                if out.hash_info and not out.exists:
                    out.checkout(force=True, allow_missing=True)
    except (DvcException, OSError) as error:
        text = "the earlier outputs of %s could not be brought back (%s); try `dvc checkout`"
        logging.getLogger(__name__).warning(text, name, error)
