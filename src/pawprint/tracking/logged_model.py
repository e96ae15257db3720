"""An exported network as an MLflow model, with the code that answers with it.

The module is a flavor, as MLflow calls one with `save_model`.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.inference.predictor import class_columns, load_runtime
from pawprint.tracking.names import NETWORK_FILE
from pawprint.tracking.pyfunc import FIXED, PATHS, SURE_PRECISION, THRESHOLD

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import Model, ModelSignature

_PICTURES = ("pi-heif", "pillow", "simplejpeg", "tifffile")
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", *_PICTURES)

PACKAGE = "pawprint"
LOADER = "tracking.pyfunc"
# The few modules with which an exported network answers where pawprint is not installed.
MODULES = (
    "system.errors",
    "inference.calibration",
    "data.brightness",
    "data.damage",
    "data.decode",
    "data.jpeg",
    "data.picture",
    "data.resize",
    "data.tiff",
    "inference.predictor",
    "tracking.names",
    LOADER,
)

_IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}\b", re.MULTILINE)


def save_model(
    path: str,
    mlflow_model: Model,
    *,
    network: Path,
    class_names: list[str],
    example: np.ndarray,
    **_: Any,
) -> None:
    """Write a model's folder: the network, the code that answers with it, and what MLflow asks for.

    ``mlflow.pyfunc`` loads it as ``tracking.pyfunc`` says, ``mlflow.onnx`` as the network alone
    (which takes the package onnx, not needed otherwise).

    Args:
        path: the folder, empty or not there.
        mlflow_model: what MLflow knows of the model already.
        network: the ONNX file as the train stage writes it.
        class_names: classes, in the order of the probabilities' columns.
        example: a picture, uint8 (size, size, 3).
    """
    import mlflow.pyfunc
    import pandas
    from PIL import Image

    example_file = io.BytesIO()
    Image.fromarray(example).save(example_file, "PNG")
    with tempfile.TemporaryDirectory() as code:
        loader = write_model_code(Path(code))
        mlflow.pyfunc.save_model(
            path=path,
            mlflow_model=mlflow_model,
            loader_module=loader,
            code_paths=[str(Path(code) / loader.partition(".")[0])],
            model_config={PATHS: None},
            signature=_signature(class_names),
            input_example=pandas.DataFrame({"image": [example_file.getvalue()]}),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    shutil.copyfile(network, Path(path) / NETWORK_FILE)
    mlflow_model.add_flavor(
        "onnx",
        data=NETWORK_FILE,
        onnx_version=version("onnx"),
        providers=load_runtime().get_available_providers(),
        code=None,
    )
    mlflow_model.model_size_bytes = sum(
        file.stat().st_size for file in Path(path).rglob("*") if file.is_file()
    )
    mlflow_model.save(str(Path(path) / "MLmodel"))


def write_model_code(folder: Path) -> str:
    """Write the modules into ``folder``, as a package whose name tells the code apart.

    A model so answers with the code that it was recorded with, whatever pawprint is installed, and
    in one process with models of other code: under one name, the first that is imported would
    serve all.

    Returns:
        The name of the module that loads a model, as "pawprint_0123abcd.tracking.pyfunc".
    """
    source = Path(__file__).parents[1]
    files = set()
    for module in MODULES:
        path = Path(*module.split(".")).with_suffix(".py")
        files |= {path, path.parent / "__init__.py"}
    texts = {path: (source / path).read_text(encoding="utf-8") for path in sorted(files)}
    texts[Path("__init__.py")] = ""  # pawprint's own offers what is not here
    digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()[:8]
    name = f"{PACKAGE}_{digest}"
    for path, text in texts.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_IMPORT.sub(rf"\g<1>{name}", text), encoding="utf-8")
    return f"{name}.{LOADER}"


def _signature(class_names: list[str]) -> ModelSignature:
    """The answers' columns, and the parameters.

    What comes in is left open: MLflow would make a table of it first, which arrays of pixels are
    not, and decode text where it is told bytes.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    figures = ["probability", *class_columns(class_names, FIXED)]
    columns = [
        ColSpec("string", "label"),
        *(ColSpec("double", name, required=False) for name in figures),
        ColSpec("string", "problem"),
    ]
    params = ParamSchema([ParamSpec(name, "double", None) for name in (SURE_PRECISION, THRESHOLD)])
    return ModelSignature(outputs=Schema([*columns]), params=params)
