"""Pawprint: a folder of pictures in, a tracked, tested and registered classifier out.

```python
import pawprint

champion = pawprint.load()
answers = champion.predict(["cat.jpg", "folder/"])
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pawprint.api.answers import Answer, Answers
    from pawprint.api.classifier import Classifier, load
    from pawprint.api.project import init
    from pawprint.api.run import Run, train
    from pawprint.system.errors import UserError

    __version__: str

__all__ = [
    "Answer",
    "Answers",
    "Classifier",
    "Run",
    "UserError",
    "__version__",
    "init",
    "load",
    "train",
]

_PLACES = {  # where each is; it is imported when it is first used
    "Answer": "api.answers",
    "Answers": "api.answers",
    "Classifier": "api.classifier",
    "Run": "api.run",
    "UserError": "system.errors",
    "__version__": "system.version",
    "init": "api.project",
    "load": "api.classifier",
    "train": "api.run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
