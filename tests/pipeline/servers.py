"""Servers that tests start in processes of their own: a port for one, and the wait for it."""

import socket
import time
import urllib.request


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
