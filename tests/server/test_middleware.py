"""Pages of other sites cannot make a person's browser read or send anything here."""

import pytest
import requests
from web_server import picture, serving

from pawprint.inference.prediction_log import PredictionLog
from pawprint.server.model import WatchedModel

NAME = "pets.example"


@pytest.fixture(scope="module", params=[True, False], ids=["local", "for all"])
def server(request, network, tmp_path_factory):
    """One for this machine alone, then one for others too; behind a proxy with a name."""
    seen = PredictionLog(tmp_path_factory.mktemp("seen") / "seen.jsonl")
    with serving(
        WatchedModel(str(network)), seen=seen, hosts=[NAME], local=request.param
    ) as served:
        served.local, served.seen = request.param, seen.path
        yield served


def ask(server, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    form = [("files", ("a.jpg", picture(1)))]
    return requests.post(server.address + "predict", files=form, headers=headers, timeout=30)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1234", "127.0.0.1:80", "127.8.9.1", "[::1]", "[::1]:80", f"{NAME}:1"],
)
def test_its_own_names_are_answered(server, host):
    assert ask(server, Host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.evil.example:80", "localhost.evil", "10.0.0.1"]
)
def test_other_names_are_answered_only_where_others_can_reach_it(server, host):
    for path in ("", "model", "examples", "predict"):
        headers = {"Host": host}
        response = requests.get(server.address + path, headers=headers, timeout=30)
        assert (response.status_code == 421) == server.local
    response = ask(server, Host=host)
    if not server.local:
        assert response.status_code == 200
        return
    assert response.status_code == 421
    assert response.json()["error"].startswith("this server does not answer under the name ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:3000"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
    ],
)
def test_pages_of_other_sites_may_not_send_pictures(server, headers):
    before = server.seen.read_text() if server.seen.exists() else ""
    response = ask(server, **headers)
    assert response.status_code == 403
    assert "may not ask here" in response.json()["error"]
    assert (server.seen.read_text() if server.seen.exists() else "") == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://proxy.example"},
        {"Origin": f"https://{NAME}", "Host": "127.0.0.1"},
        {"Origin": "http://LocalHost:80", "Host": "localhost:80"},
    ],
)
def test_its_own_page_the_proxys_and_programs_may(server, headers):
    assert ask(server, **headers).status_code == 200
