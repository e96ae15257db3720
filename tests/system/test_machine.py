import pytest

from pawprint.system.machine import is_this_machine


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost.", "pets.localhost", "127.0.0.1", "127.8.9.1", "::1"]
)
def test_these_hosts_are_this_machine(host):
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.example.com",
        "localhost.evil",
        "notlocalhost",
        "10.0.0.1",
        "0.0.0.0",
    ],
)
def test_other_hosts_are_not(host):
    assert not is_this_machine(host)
