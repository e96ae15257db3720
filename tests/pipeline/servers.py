"""Servers that tests start in processes of their own: a port for one, and the wait for it."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(address):
    """Ask for a page until it comes, five minutes at most."""
    until = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except OSError:
            assert time.monotonic() < until, f"{address} does not answer"
            time.sleep(0.25)


@contextmanager
def tracking_server(project, folder):
    """A real tracking server on a free port, ended by its process group's id."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    folder.mkdir()
    process = subprocess.Popen(
        [
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
            "--backend-store-uri",
            f"sqlite:///{folder}/server.db",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ],
        env=project.environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_it_answers(f"{address}/health")
        yield address, process
    finally:
        end(process)


def end(process):
    """End a server and what it started, by its process group's id."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=300)
