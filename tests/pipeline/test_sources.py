"""Where `images` may be, under real DVC: kept by DVC, imported, or on the web."""

import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def project(fresh, tmp_path):
    """A project of one's own in which nothing ran yet."""
    return fresh.copy(tmp_path / "project")


@pytest.fixture
def pets(tmp_path, paint_folder):
    return paint_folder(tmp_path / "elsewhere" / "pets", {"cats": 10, "dogs": 10}, seed=3)


def use(project, images):
    """Let `images` name these pictures."""
    project.edit("params.yaml", "images: pictures", f"images: {images}")


def prepare(project):
    """Run `dvc repro prepare`: whether it ran the stage, and what it said."""
    done = project.run("dvc", "repro", "prepare")
    said = done.stdout + done.stderr
    assert "error" not in said
    return "Running stage 'prepare'" in said, said


def counted(project):
    summary = project.json("data/prepared/summary.json")
    return sum(part["pictures"] for part in summary["splits"].values())


def test_pictures_that_dvc_keeps_are_prepared_again_when_one_is_added(project, pets):
    shutil.copytree(pets, project.root / "pets")
    project.run("dvc", "add", "pets")
    use(project, "pets")
    assert prepare(project)[0]
    assert counted(project) == 20
    assert not prepare(project)[0]
    shutil.copy(project.root / "pictures" / "cats" / "000.png", project.root / "pets/cats/new.png")
    project.run("dvc", "add", "pets")
    assert prepare(project)[0]
    assert counted(project) == 21


def test_pictures_that_dvc_imported_are_prepared_again_after_an_update(project, pets):
    project.run("dvc", "import-url", str(pets), "pets")
    use(project, "pets")
    assert prepare(project)[0]
    assert counted(project) == 20
    shutil.copy(project.root / "pictures" / "cats" / "000.png", pets / "cats" / "new.png")
    project.run("dvc", "update", "pets.dvc")
    assert prepare(project)[0]
    assert counted(project) == 21


class _Handler(BaseHTTPRequestHandler):
    """Serves one file with its tag, and notes who took it whole."""

    def do_HEAD(self):
        self._answer(with_content=False)

    def do_GET(self):
        self._answer(with_content=True)

    def _answer(self, *, with_content):
        content = self.server.file.read_bytes()
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        known = self.headers.get("If-None-Match") == tag
        self.send_response(304 if known else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", "0" if known else str(len(content)))
        self.end_headers()
        if with_content and not known:
            self.wfile.write(content)
            if self.headers["User-Agent"] == "pawprint":
                self.server.downloads.append(self.path)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """DVC asks with a GET too and goes away: nothing to print."""


@pytest.fixture
def server(pets, monkeypatch):
    """A web server on this machine with `pets.zip`, stopped after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # for DVC, which asks too
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.file = pack(pets)
        server.downloads = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pack(pets):
    return pets.parent / shutil.make_archive(str(pets), "zip", pets)


def test_pictures_from_the_web_are_downloaded_once_per_content(project, pets, server):
    url = f"http://127.0.0.1:{server.server_port}/pets.zip"
    use(project, url)
    ran, said = prepare(project)
    assert ran
    assert f"downloading {url} to" in said
    assert counted(project) == 20
    assert project.json("data/prepared/summary.json")["images"] == url
    assert not prepare(project)[0]

    project.edit("params.yaml", "image_size: 16", "image_size: 12")
    assert prepare(project)[0]
    assert server.downloads == ["/pets.zip"]

    shutil.copy(project.root / "pictures" / "cats" / "000.png", pets / "cats" / "new.png")
    pack(pets)
    ran, said = prepare(project)
    assert ran
    assert f"downloading {url} to" in said
    assert counted(project) == 21


def test_pictures_from_the_web_with_a_checksum_are_prepared_once(project, server):
    digest = hashlib.sha256(server.file.read_bytes()).hexdigest()
    use(project, f"http://127.0.0.1:{server.server_port}/pets.zip#sha256={digest}")
    assert prepare(project)[0]
    assert not prepare(project)[0]
    project.edit("params.yaml", f"#sha256={digest}", f"#sha256={'0' * 64}")
    done = project.run("dvc", "repro", "prepare", code=None)
    assert done.returncode != 0
    assert f"has the sha256 {digest}" in done.stderr
    assert counted(project) == 20
