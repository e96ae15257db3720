"""Projects, as a notebook makes and names them."""

import os
from pathlib import Path


def init(
    folder: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    copy: bool = False,
) -> Path:
    """Make a folder a project, as `pawprint init` does; change into it to work there.

    Args:
        folder: is made where it is not there.
        images: a folder with a sub-folder of pictures per class, an archive, or its address.
            Defaults to None: cats and dogs are drawn, so that everything can be tried.
        copy: whether the pictures are copied into the project, for DVC to keep. Defaults to False.

    Returns:
        The project's folder.

    Raises:
        UserError: the folder has files of a project already, the pictures are not there, or git or
            DVC is not installed.
    """
    from pawprint.project.init import init_project  # takes time to import

    path = Path(os.path.expanduser(folder))  # noqa: PTH111 - Path fails where nobody has that name
    init_project(path, images, copy=copy)
    return path.absolute()
