"""An exported network as an MLflow model: a flavor, as MLflow calls a module with `save_model`."""

from __future__ import annotations

import io
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pawprint.inference.predictor import class_columns, load_runtime
from pawprint.tracking.model_code import write_model_code
from pawprint.tracking.pyfunc import FIXED, NETWORK, PATHS, SURE_PRECISION, THRESHOLD

if TYPE_CHECKING:
    import numpy as np
    import pandas
    from mlflow.models import Model, ModelSignature

REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow", "simplejpeg")


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

    ``mlflow.pyfunc`` loads it as ``serving.pyfunc`` says, ``mlflow.onnx`` as the network alone
    (which takes the package onnx, not needed otherwise).

    Args:
        path: the folder, empty or not there.
        mlflow_model: what MLflow knows of the model already.
        network: the ONNX file as the train stage writes it.
        class_names: classes, in the order of the probabilities' columns.
        example: a picture, uint8 (size, size, 3).
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as code:
        loader = write_model_code(Path(code))
        mlflow.pyfunc.save_model(
            path=path,
            mlflow_model=mlflow_model,
            loader_module=loader,
            code_paths=[str(Path(code) / loader.partition(".")[0])],
            model_config={PATHS: None},
            signature=_signature(class_names),
            input_example=_table(example),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    shutil.copyfile(network, Path(path) / NETWORK)
    mlflow_model.add_flavor(
        "onnx",
        data=NETWORK,
        onnx_version=version("onnx"),
        providers=load_runtime().get_available_providers(),
        code=None,
    )
    mlflow_model.model_size_bytes = sum(
        file.stat().st_size for file in Path(path).rglob("*") if file.is_file()
    )
    mlflow_model.save(str(Path(path) / "MLmodel"))


def _signature(class_names: list[str]) -> ModelSignature:
    """A column of any name in, text or bytes; the answers' columns out; and the parameters.

    MLflow hands bytes through where it is told text, but would decode text where it is told bytes.
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
    return ModelSignature(Schema([ColSpec("string")]), Schema(columns), params)


def _table(picture: np.ndarray) -> pandas.DataFrame:
    import pandas
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return pandas.DataFrame({"image": [content.getvalue()]})
