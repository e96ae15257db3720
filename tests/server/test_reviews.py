"""Pictures whose answer a person called wrong: kept once, a row per decision, and only here."""

import base64
import csv
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from test_schemas import check
from web_server import picture, serving

from pawprint.config.compose import project_root
from pawprint.server.model import WatchedModel
from pawprint.server.reviews import COLUMNS, Reviews, suffix_of


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "project" / "reviews"


@pytest.fixture
def server(network, folder):
    limits = {"file_bytes": 100_000, "pixels": 1_000_000, "stall_seconds": 1.0}
    reviews = Reviews(folder, most_bytes=200_000)
    with serving(WatchedModel(str(network)), reviews=reviews, local=True, **limits) as server:
        yield server


def review(server, content, right="newts", name="cat.jpg", **more):
    form = [("files", (name, content))]
    address = f"{server.address}reviews"
    return requests.post(address, params={"right_label": right}, files=form, timeout=30, **more)


def rows(folder):
    with (folder / "reviews.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def test_a_picture_is_kept_once_with_a_row_per_decision(server, folder):
    content = picture(1)
    (told,) = server.send(content).json()["predictions"]
    first = review(server, content)
    assert first.status_code == 201
    digest = hashlib.sha256(content).hexdigest()
    assert review(server, content, "a frog, perhaps", "=cmd|'/c calc'!A1.jpg").status_code == 201
    assert names_in(folder) == [f"{digest[:16]}.jpg", "reviews.csv"]
    assert (folder / f"{digest[:16]}.jpg").read_bytes() == content
    one, other = rows(folder)
    assert list(one) == list(COLUMNS)
    assert first.json() | {"probability": f"{told['probability']}", "version": ""} == one
    assert (one["label"], one["right_label"], one["name"]) == (told["label"], "newts", "cat.jpg")
    assert (other["right_label"], other["name"]) == ("a frog, perhaps", "'=cmd|'/c calc'!A1.jpg")


def test_another_picture_of_the_same_short_name_is_not_overwritten(server, folder):
    content = picture(1)
    digest = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True)
    (folder / f"{digest[:16]}.jpg").write_bytes(b"mine")
    assert review(server, content).json()["file"] == f"{digest}.jpg"
    assert (folder / f"{digest[:16]}.jpg").read_bytes() == b"mine"


def test_a_row_that_was_cut_off_spoils_no_other(server, folder):
    review(server, picture(1))
    with (folder / "reviews.csv").open("a") as file:
        file.write("2025-01-01T00")
    review(server, picture(2))
    assert [row["right_label"] for row in rows(folder)] == ["newts", None, "newts"]


def test_many_at_once_are_all_kept(server, folder):
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda seed: review(server, picture(seed % 5)), range(20)))
    assert {response.status_code for response in done} == {201}
    assert len(rows(folder)) == 20
    assert len(names_in(folder)) == 5 + 1


REFUSED = {
    400: ({"data": b"{", "headers": {"Content-Type": "application/json"}}, "the body is no JSON"),
    403: ({"headers": {"Sec-Fetch-Site": "cross-site"}}, "a page of another site may not ask"),
    413: ({"files": [("files", ("a.jpg", bytes(100_001)))]}, "a.jpg is larger than 97.7 kB"),
    415: ({"files": [("files", ("a.txt", b"hello"))]}, "a.txt is not a picture"),
    421: ({"headers": {"Host": "evil.example"}}, "this server does not answer under the name"),
    422: ({"files": [("files", (f"{n}.jpg", picture(n))) for n in range(2)]}, "send one"),
}


@pytest.mark.parametrize("status", REFUSED)
def test_what_is_refused_is_told_as_described_and_leaves_nothing(server, folder, status):
    sent, sentence = REFUSED[status]
    if "data" not in sent and "files" not in sent:
        sent = {**sent, "files": [("files", ("a.jpg", picture(1)))]}
    address = f"{server.address}reviews?right_label=newts"
    response = requests.post(address, timeout=30, **sent)
    assert response.status_code == status
    assert sentence in response.json()["error"]
    check(server.get("openapi.json").json(), "post", "/reviews", response)
    assert not folder.exists()


@pytest.mark.parametrize("right", ["", "  ", "x" * 101, None])
def test_a_right_label_is_a_word(server, folder, right):
    response = review(server, picture(1), right)
    assert response.status_code == 422
    assert response.json()["error"].startswith("right_label")
    assert not folder.exists()


def test_a_full_folder_is_told_in_a_sentence(server, folder):
    folder.mkdir(parents=True)
    (folder / "earlier.jpg").write_bytes(bytes(199_900))
    response = review(server, picture(1))
    assert response.status_code == 507
    assert response.json()["error"] == (
        "the picture cannot be kept: reviews holds 195 kB, and 195 kB is all that is kept there: "
        "move away what was reviewed"
    )
    check(server.get("openapi.json").json(), "post", "/reviews", response)
    assert names_in(folder) == ["earlier.jpg"]


def test_a_folder_that_cannot_be_written_or_another_table_is_told(server, folder):
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file")
    assert review(server, picture(1)).status_code == 507
    folder.unlink()
    folder.mkdir()
    (folder / "reviews.csv").write_text("mine\n1\n")
    error = review(server, picture(1)).json()["error"]
    assert "reviews/reviews.csv has other columns than those that are written" in error
    assert (folder / "reviews.csv").read_text() == "mine\n1\n"


def test_elsewhere_there_is_no_such_route(network):
    with serving(WatchedModel(str(network))) as server:
        response = review(server, picture(1))
        assert (response.status_code, server.get("limits").json()["reviews"]) == (404, False)
        assert "/reviews" not in server.get("openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("options", "kept"),
    [([], True), (["--allow-host", "pets.example"], False), (["--host", "0.0.0.0"], False)],
)
def test_it_is_offered_where_only_this_machine_reaches_a_project(network, options, kept):
    command = [sys.executable, "-m", "pawprint", "serve", "--model", str(network), "--port", "0"]
    command += options
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=project_root()
    ) as process:
        try:
            address = process.stdout.readline().split(" answers on ")[1].split()[0]
            found = requests.get(f"{address}limits", timeout=30).json()
        finally:
            process.terminate()
    assert found["reviews"] == kept


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("BMP", ".bmp"), ("TIFF", ".tif")]
    + [("WEBP", ".webp"), ("AVIF", ".avif"), ("PPM", ".ppm"), ("JPEG2000", ".jp2")],
)
def test_a_file_is_named_by_what_it_is(form, suffix):
    assert suffix_of(picture(form=form)) == suffix


def test_the_body_may_have_any_form(server, folder):
    address, content = f"{server.address}reviews?right_label=dogs", picture(1)
    sent = [{"data": content, "headers": {"Content-Type": "image/jpeg"}}]
    sent += [{"json": {"pictures": [base64.b64encode(content).decode()]}}]
    for body in sent:
        assert requests.post(address, timeout=30, **body).status_code == 201
    assert [row["name"] for row in rows(folder)] == ["picture 1"] * 2
