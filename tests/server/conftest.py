"""A tiny network as a file, and a server of it."""

import pytest
from web_server import serving, write_network


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The file of a network of three classes."""
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


@pytest.fixture(scope="module")
def served(network):
    """A server with small limits: 100 kB a file, 1 megapixel, 4 files."""
    from pawprint.server.model import WatchedModel

    limits = {"file_bytes": 100_000, "pixels": 1_000_000, "files": 4, "stall_seconds": 1.0}
    with serving(WatchedModel(str(network)), **limits) as server:
        yield server
