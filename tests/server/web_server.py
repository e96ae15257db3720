"""Tiny networks as files, and servers of them on free ports."""

from __future__ import annotations

import io
import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import requests
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 8
NAMES = ["cats", "dogs", "newts"]
# What red, green and blue count for each class.
COLOURS = np.array([[4, -2, -2], [-2, 4, -2], [-2, -2, 4]], np.float32)


def write_network(
    path: Path, *, strength: float = 1.0, names: list[str] = NAMES, maps: bool = True, **more: str
) -> Path:
    """Write a network that tells colours apart, with a place map; ``strength`` makes it surer."""
    constants = {
        "axes": np.array([1, 2], np.int64),
        "weights": COLOURS.T * strength / 255,
        "first": np.array([4, -2, -2], np.float32) / 255,
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    if maps:
        nodes.append(helper.make_node("MatMul", ["floats", "first"], ["maps"]))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"class_names": json.dumps(names)} | more)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def picture(seed: int = 0, size: tuple[int, int] = (24, 18), form: str = "JPEG") -> bytes:
    """A picture file of one colour and noise."""
    random = np.random.default_rng(seed)
    colour = random.integers(0, 256, 3)
    noise = random.normal(0, 20, (*size[::-1], 3))
    content = io.BytesIO()
    Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(content, form)
    return content.getvalue()


class Registry:
    """A store with versions of one model."""

    def __init__(self, folder: Path, model: str = "colours") -> None:
        from mlflow import MlflowClient

        self.folder, self.model = folder, model
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.client = MlflowClient(self.uri, self.uri)
        self.client.create_registered_model(self.model)

    def add(
        self, *, crown: bool = True, run_id: str = "r" * 32, **network: Any
    ) -> tuple[int, Path]:
        """Register one more version; returns its number and its network."""
        folder = self.folder / f"network-{len(list(self.folder.iterdir()))}"
        path = write_network(folder / "model.onnx", **network)
        tags = {"test_accuracy": "0.9", "test_accuracy_low": "0.88", "test_accuracy_high": "0.92"}
        tags |= {"data_digest": "d" * 64}
        made = self.client.create_model_version(self.model, str(folder), run_id=run_id, tags=tags)
        if crown:
            self.crown(int(made.version))
        return int(made.version), path

    def crown(self, version: int) -> None:
        self.client.set_registered_model_alias(self.model, "champion", str(version))


class Served:
    """A running server."""

    def __init__(self, address: str, app: Any) -> None:
        self.address = address
        self.app = app

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.address.removeprefix("http://").rstrip("/").partition(":")
        return host, int(port)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return requests.get(self.address + path, timeout=30, **arguments)

    def send(self, *files: tuple[str, bytes] | bytes, query: str = "", field: str = "files"):
        """Post files, as a form."""
        named = [f if isinstance(f, tuple) else (f"{i}.jpg", f) for i, f in enumerate(files)]
        form = [(field, file) for file in named]
        return requests.post(self.address + "predict" + query, files=form, timeout=30)

    def post(self, **arguments: Any) -> requests.Response:
        return requests.post(self.address + "predict", timeout=30, **arguments)


@contextmanager
def serving(watched, *, examples=(), seen=None, reviews=None, hosts=(), local=False, **limits):
    """A server in a thread of its own, until the end of the block."""
    from pawprint.server.app import make_app
    from pawprint.server.limits import Limits
    from pawprint.server.running import address_of, bind, make_server

    app = make_app(
        watched, examples, Limits(**limits), seen, reviews=reviews, hosts=hosts, local=local
    )
    server, listening = make_server(app), bind("127.0.0.1", 0)
    address = address_of(listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Served(address, app)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()
