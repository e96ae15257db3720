"""Folders and archives of stores that fsspec reads, and what of an address is told."""

import base64
import datetime
import hashlib
import ipaddress
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pawprint.data.sources.download import download
from pawprint.data.sources.remote import RetryPolicy
from pawprint.data.sources.source import open_images
from pawprint.system.errors import UserError

HASTY = RetryPolicy(attempts=2, pause=0.01, connect=2, read=1.0)
PETS = {"cats/1.png": b"one", "cats/2.png": b"two", "dogs/deep/1.png": b"dog"}


@pytest.fixture
def store():
    """A store in memory, empty again after the test."""
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def pets(store):
    store.pipe({f"/pets/{path}": content for path, content in PETS.items()})
    return store


@pytest.fixture
def get(tmp_path):
    return lambda url: download(url, tmp_path / "downloads", policy=HASTY)


@pytest.fixture
def refusal(get):
    def refusal(url):
        with pytest.raises(UserError) as caught:
            get(url)
        message = str(caught.value)
        assert message.isprintable()
        assert not message.endswith(".")
        return message

    return refusal


def content_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# folders


def test_a_folder_is_mirrored_under_a_name_of_its_own(pets, get, tmp_path):
    mirror = get("memory://pets")
    assert content_of(mirror) == PETS
    assert mirror.parent == tmp_path / "downloads"
    assert mirror.name.endswith("-pets")
    assert get("memory://pets/") == mirror
    pets.pipe("/other/pets/cats/1.png", b"another")
    assert get("memory://other/pets") != mirror


def test_images_may_be_a_folder_of_a_store(pets, tmp_path):
    with open_images("memory://pets", tmp_path / "data" / "prepared") as folder:
        assert content_of(folder) == PETS
    assert folder.parent == tmp_path / "data" / "downloads"
    assert content_of(folder) == PETS


def test_images_may_be_an_archive_of_a_store(store, tmp_path, paint_folder):
    folder = paint_folder(tmp_path / "pets", {"cats": 2, "dogs": 2})
    store.put_file(shutil.make_archive(str(folder), "zip", folder), "/archives/pets.zip")
    with open_images("memory://archives/pets.zip", tmp_path / "data" / "out") as inside:
        assert content_of(inside) == content_of(folder)


def test_a_folder_of_this_machine_is_mirrored_too(tmp_path, get, paint_folder):
    folder = paint_folder(tmp_path / "my pets", {"cats": 2, "dogs": 2})
    assert content_of(get(folder.as_uri().replace("%20", " "))) == content_of(folder)


def test_an_empty_folder_is_mirrored_as_one(tmp_path, get):
    (tmp_path / "pets").mkdir()
    assert list(get((tmp_path / "pets").as_uri()).iterdir()) == []


def test_more_files_than_are_fetched_at_a_time(store, get):
    pets = {f"cats/{index:03}.png": str(index).encode() for index in range(150)}
    store.pipe({f"/many/{path}": content for path, content in pets.items()})
    assert content_of(get("memory://many")) == pets


def test_a_folder_that_did_not_change_is_not_fetched_again(pets, get):
    def nodes(mirror):
        return {path: path.stat().st_ino for path in mirror.rglob("*")}

    before = nodes(get("memory://pets"))
    assert nodes(get("memory://pets")) == before


@pytest.mark.parametrize("path", ["cats/1.png", "cats/new.png", "owls/1.png"])
def test_a_folder_that_changed_is_fetched_again(pets, get, path):
    mirror = get("memory://pets")
    pets.pipe(f"/pets/{path}", b"changed")
    pets.rm("/pets/cats/2.png")
    expected = PETS | {path: b"changed"}
    del expected["cats/2.png"]
    assert get("memory://pets") == mirror
    assert content_of(mirror) == expected


@pytest.mark.parametrize("content", [None, b"longer than it was"])
def test_a_mirror_that_was_altered_is_fetched_again(pets, get, caplog, content):
    mirror = get("memory://pets")
    (mirror / "cats" / "1.png").unlink()
    if content:
        (mirror / "cats" / "1.png").write_bytes(content)
    assert content_of(get("memory://pets")) == PETS
    assert "is not as it was downloaded" in caplog.text


def test_without_an_answer_the_mirror_is_used_with_a_warning(pets, get, caplog):
    mirror = get("memory://pets")
    pets.rm("/pets", recursive=True)
    assert get("memory://pets") == mirror
    assert content_of(mirror) == PETS
    assert "as downloaded earlier" in caplog.text


def test_a_folder_is_there_as_a_whole_or_not_at_all(pets, refusal, monkeypatch, tmp_path):
    get_file = type(pets).get_file

    def breaks(self, path, *arguments, **options):
        if path.endswith("dogs/deep/1.png"):
            raise RuntimeError("gone")
        return get_file(self, path, *arguments, **options)

    monkeypatch.setattr(type(pets), "get_file", breaks)
    assert "(RuntimeError)" in refusal("memory://pets")
    assert {path.suffix for path in (tmp_path / "downloads").iterdir()} == {".lock"}


def test_a_folder_takes_the_place_of_an_archive_and_back(pets, get):
    mirror = get("memory://pets")
    pets.rm("/pets", recursive=True)
    pets.pipe("/pets", b"a file now")
    assert get("memory://pets").read_bytes() == b"a file now"
    pets.rm("/pets")
    pets.pipe("/pets/cats/1.png", b"one")
    assert content_of(get("memory://pets")) == {"cats/1.png": b"one"}
    assert mirror.is_dir()


def test_a_folder_inside_that_cannot_be_listed_is_not_left_out(pets, refusal, monkeypatch):
    ls = type(pets).ls

    def breaks(self, path, *arguments, **options):
        if path.endswith("dogs"):
            raise PermissionError(13, "Permission denied")
        return ls(self, path, *arguments, **options)

    monkeypatch.setattr(type(pets), "ls", breaks)
    assert "(permission denied)" in refusal("memory://pets")


def test_a_checksum_of_a_folder_is_refused(pets, refusal):
    assert "is a folder: leave out #sha256=" in refusal("memory://pets#sha256=" + "ab" * 32)


def test_a_name_that_leads_outside_is_refused(pets, refusal, tmp_path):
    pets.store["/pets/cats/../../../evil.png"] = pets.store["/pets/cats/1.png"]
    assert "which is no name for a file here" in refusal("memory://pets")
    assert not list(tmp_path.rglob("evil.png"))


# what is refused, and what is told of an address


@pytest.mark.parametrize("url", ["memory://none", "memory://none/pets.zip", "file:///none/pets"])
def test_what_is_not_there_is_one_sentence(store, refusal, url):
    assert f'the download of "{url}" failed (not found): correct the URL' in refusal(url)


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_named(refusal, monkeypatch, scheme, package):
    monkeypatch.setitem(sys.modules, package, None)
    message = refusal(f"{scheme}://bucket/pets.zip")
    extra = "'pawprint-classifier[s3]'" if scheme == "s3" else package
    assert f"`pip install {extra}`" in message
    assert "`dvc import-url`" in message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://me:secret@host/pets.zip", "`dvc import-url`"),
        ("ftp://me:secret@host/pets.zip", "is plain ftp"),
        ("zip://pets.zip::https://me:secret@host/a", "no complete URL"),
        ("s3://", "no complete URL"),
        ("s3://bucket/pets.zip#sha256=12", "64 hexadecimal digits"),
    ],
)
def test_another_kind_of_address_is_refused_with_a_way_out(refusal, url, said):
    message = refusal(url)
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "url", ["memory://me:secret@host/none.zip?token=secret", "http://{}/none.zip?token=secret"]
)
def test_no_exception_of_fsspec_tells_a_secret(store, web, refusal, caplog, url):
    caplog.set_level(logging.DEBUG)
    web.statuses = [404] * 2
    message = refusal(url.format(f"me:secret@{web.address}"))
    assert "none.zip" in message
    assert "secret" not in message + caplog.text


def test_a_download_tells_no_secret_either(web, get, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    web.content = b"content"
    get(f"http://me:secret@{web.address}/pets.zip?token=secret")
    assert "secret" not in caplog.text
    assert b"secret" not in next((tmp_path / "downloads").glob("*.json")).read_bytes()


# the web


@pytest.mark.parametrize("path", ["/pets.zip", "/none.zip"])
def test_no_thread_stays_that_would_forbid_to_fork(web, tmp_path, path):
    web.redirects = {"/none.zip": "ftp://nowhere"}
    web.content = b"content"
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from pawprint.data.sources.download import download\n"
        "try: download(sys.argv[1], Path(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(threading.active_count())\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, web.url(path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == (["1"] if path == "/pets.zip" else ["UserError", "1"])
    assert done.stderr.count("\n") == 0  # nor a connection


def test_a_stopped_download_leaves_nothing_half_written(web, tmp_path):
    web.content, web.cuts, web.stalls = bytes(1_000_000), [500_000], True
    code = (
        "import signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pawprint.data.sources.download import download\n"
        "try: download(sys.argv[1], Path(sys.argv[2]))\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    command = [sys.executable, "-c", code, web.url(), str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not list(tmp_path.glob("*.part")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("stopped\n", "")
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def test_user_and_password_may_be_in_netrc(web, get, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password se:cret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.content = b"content"
    web.password = "Basic " + base64.b64encode(b"me:se:cret").decode()
    assert get(web.url()).read_bytes() == b"content"


def test_user_and_password_of_the_address_go_before_netrc(web, get, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password another")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.content = b"content"
    web.password = "Basic " + base64.b64encode(b"me:p@ss/word").decode()
    assert get(f"http://me:p%40ss%2Fword@{web.address}/pets.zip").read_bytes() == b"content"


@pytest.mark.parametrize("path", ["/a%2Fb%20c+d.zip?x=%3A%2f~%7E", "/kätzchen.zip"])
def test_an_address_is_sent_as_it_was_written(web, get, path):
    web.content = b"content"
    get(web.url(path))
    sent = {"/kätzchen.zip": "/k%C3%A4tzchen.zip"}.get(path, path)
    assert [request["path"] for request in web.asked] == [sent] * 2


def test_what_is_served_as_compressed_stays_compressed(web, get, monkeypatch):
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.end_headers", _end_headers_with("gzip"))
    web.content = b"\x1f\x8b not unpacked"
    assert get(web.url()).read_bytes() == web.content


def _end_headers_with(encoding):
    end_headers = BaseHTTPRequestHandler.end_headers

    def wrapped(self):
        self.send_header("Content-Encoding", encoding)
        end_headers(self)

    return wrapped


class _Redirect(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", self.server.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def https(tmp_path, web):
    """An https server on this machine that redirects to a plain one; its certificate's file."""
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Redirect) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.target = web.url("/plain.zip")
        server.handle_error = lambda *_: None  # a client that does not trust it
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/pets.zip", pem
        server.shutdown()
        thread.join()


def _certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def get_trusting(url, certificate, folder):
    """Download in a process of its own, where the certificate is trusted."""
    code = (
        "import sys; from pathlib import Path\n"
        "from pawprint.data.sources.download import download\n"
        "try: print(download(sys.argv[1], Path(sys.argv[2])))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, url, str(folder)],
        env=os.environ | {"SSL_CERT_FILE": str(certificate)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_https_that_redirects_to_http_is_refused_without_a_checksum(https, web, tmp_path):
    url, certificate = https
    web.content = b"content"
    said = get_trusting(url, certificate, tmp_path / "downloads")
    assert said.startswith(f'UserError "{url}" leads to "{web.url("/plain.zip")}", which is not')
    assert web.asked == []
    digest = hashlib.sha256(web.content).hexdigest()
    said = get_trusting(f"{url}#sha256={digest}", certificate, tmp_path / "downloads")
    assert said.strip().endswith("-pets.zip")
    assert [request["path"] for request in web.asked] == ["/plain.zip"]


def test_a_host_that_takes_no_connection_is_one_sentence_after_a_while(tmp_path):
    with socket.socket() as silent:  # takes what arrives, and says nothing that TLS waits for
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/pets.zip"
        with pytest.raises(UserError, match=r"failed 2 times in a row \(no answer in time\)"):
            download(url, tmp_path, policy=RetryPolicy(attempts=2, pause=0.01, connect=0.2))


def test_a_certificate_that_is_not_trusted_is_one_sentence(https, refusal):
    assert "its certificate is not trusted" in refusal(https[0])
