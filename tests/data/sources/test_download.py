import hashlib
import logging
import os
import subprocess
import sys
import threading

import pytest

from pawprint.data.sources.address import is_address, parse, shown
from pawprint.data.sources.download import download
from pawprint.data.sources.remote import RetryPolicy
from pawprint.system.errors import UserError

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes, several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASTY = RetryPolicy(attempts=3, pause=0.01, connect=2, read=1.0)


@pytest.fixture
def pets(web):
    web.content = CONTENT
    return web


@pytest.fixture
def get(tmp_path):
    def get(url):
        return download(url, tmp_path / "downloads", policy=HASTY)

    return get


@pytest.fixture
def refusal(get):
    def refusal(url):
        with pytest.raises(UserError) as caught:
            get(url)
        message = str(caught.value)
        assert "\n" not in message
        assert not message.endswith(".")
        return message

    return refusal


# what is kept


def test_the_file_arrives_as_it_is_under_a_name_of_its_own(pets, get, tmp_path):
    file = get(pets.url())
    assert file.read_bytes() == CONTENT
    assert file.parent == tmp_path / "downloads"
    assert file.name.endswith("-pets.zip")
    assert get(pets.url("/other/pets.zip")) != file
    assert get(pets.url("/pets.zip?id=2")) != file


def test_a_file_that_did_not_change_on_the_server_is_not_sent_again(pets, get):
    before = get(pets.url()).stat()
    assert get(pets.url()).stat() == before
    assert pets.methods() == ["HEAD", "GET", "HEAD"]
    pets.etag, pets.last_modified = None, "Mon, 06 Jan 2025 10:00:00 GMT"
    get(pets.url("/dated.zip"))
    get(pets.url("/dated.zip"))
    assert pets.methods()[3:] == ["HEAD", "GET", "HEAD"]
    pets.last_modified = "Tue, 07 Jan 2025 10:00:00 GMT"
    get(pets.url("/dated.zip"))
    assert pets.methods()[6:] == ["HEAD", "HEAD", "GET"]


def test_a_server_that_tells_nothing_but_the_size_is_believed_that_nothing_changed(pets, get):
    pets.etag = None  # and no date: only the size is left
    before = get(pets.url()).stat()
    assert get(pets.url()).stat() == before
    pets.content += b"more"
    assert get(pets.url()).read_bytes() == pets.content


def test_a_file_that_changed_on_the_server_replaces_the_kept_one(pets, get):
    get(pets.url())
    pets.content = CONTENT[::-1]
    assert get(pets.url()).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("status", [404, 503])
def test_without_an_answer_the_kept_file_is_used_with_a_warning(pets, get, caplog, status):
    file = get(pets.url())
    pets.statuses = [status] * 2
    assert get(pets.url()) == file
    assert f"failed ({status}" in caplog.text
    assert "as downloaded earlier" in caplog.text


def test_without_a_network_the_kept_file_is_used_with_a_warning(pets, get, caplog, monkeypatch):
    file = get(pets.url())

    def refuse(*_, **__):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert get(pets.url()) == file
    assert "takes no connection" in caplog.text
    assert file.read_bytes() == CONTENT


def test_a_kept_file_that_was_altered_is_downloaded_again(pets, get, caplog):
    file = get(pets.url())
    file.write_bytes(b"something else")
    assert get(pets.url()).read_bytes() == CONTENT
    assert "is not as it was downloaded" in caplog.text


def test_a_kept_file_that_was_only_touched_is_used(pets, get):
    file = get(pets.url())
    os.utime(file, (1, 1))
    assert get(pets.url()) == file
    assert file.stat().st_mtime == 1
    assert pets.methods() == ["HEAD", "GET", "HEAD"]


def test_what_is_kept_has_no_password_in_name_or_memory(pets, get, tmp_path):
    file = get(f"http://me:secret@{pets.address}/pets.zip?token=secret")
    assert pets.asked[0]["Authorization"].startswith("Basic ")
    assert file.read_bytes() == CONTENT
    for path in (tmp_path / "downloads").iterdir():
        assert "secret" not in path.name
        assert path == file or b"secret" not in path.read_bytes()


# trying again


def test_a_connection_that_breaks_is_tried_again(pets, get, caplog, tmp_path):
    pets.cuts = [100_000, 200_000]
    assert get(pets.url()).read_bytes() == CONTENT
    assert caplog.text.count("trying again") == 2
    assert not list((tmp_path / "downloads").glob("*.part*"))


def test_what_a_killed_process_left_is_no_part_of_the_file(pets, get, tmp_path):
    part = get(pets.url()).with_suffix(".zip.part")
    part.mkdir()
    (part / "new").write_bytes(CONTENT + b"more")
    pets.content = CONTENT[::-1]
    assert get(pets.url()).read_bytes() == CONTENT[::-1]
    assert not part.exists()


def test_a_server_that_is_busy_for_a_moment_is_asked_again(pets, get):
    pets.statuses = [503, 429]
    assert get(pets.url()).read_bytes() == CONTENT


# what is refused


def test_a_connection_that_breaks_again_and_again_is_one_sentence(pets, refusal):
    pets.cuts = [1000] * 10
    message = refusal(pets.url())
    assert f'the download of "{pets.url()}" failed 3 times in a row' in message
    assert "run again" in message
    assert pets.methods().count("GET") == 3


def test_a_server_that_stalls_is_one_sentence(pets, refusal):
    pets.stalls, pets.cuts = True, [1000] * 10
    assert "no answer in time" in refusal(pets.url())


def test_less_than_was_promised_is_not_taken_for_the_whole(pets, refusal):
    pets.length = len(CONTENT) + 10
    assert "failed 3 times in a row" in refusal(pets.url())


def test_a_file_without_a_declared_length_is_taken_until_its_end(pets, get):
    pets.length = -1
    assert get(pets.url()).read_bytes() == CONTENT


def test_no_server_is_one_sentence(refusal):
    assert "takes no connection" in refusal("http://127.0.0.1:9/pets.zip")


def test_an_unknown_host_is_one_sentence(refusal, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def unknown(*_, **__):
        import socket

        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert "no host of this name is known" in refusal("https://pets.invalid/pets.zip")


def test_a_proxy_that_does_not_answer_is_named_as_such(refusal, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "(the host, or a proxy, takes no connection)" in refusal("https://pets.invalid/pets.zip")


@pytest.mark.parametrize(
    ("status", "todo"), [(404, "correct the URL"), (403, "may read it"), (401, "~/.netrc")]
)
def test_a_refusing_server_is_one_sentence_at_once(pets, refusal, status, todo):
    pets.statuses = [status] * 2
    message = refusal(pets.url())
    assert str(status) in message
    assert todo in message
    assert pets.methods() == ["HEAD", "GET"]  # some servers know only the second


def test_a_wrong_checksum_names_both_and_keeps_nothing(pets, refusal, tmp_path):
    message = refusal(pets.url(sha256="ab" * 32))
    assert SHA256 in message
    assert "ab" * 32 in message
    kept = {path.suffix for path in (tmp_path / "downloads").iterdir()}
    assert kept <= {".lock"}


def test_a_right_checksum_is_taken_and_then_trusted_without_asking(pets, get):
    file = get(pets.url(sha256=SHA256.upper()))
    assert [request["path"] for request in pets.asked] == ["/pets.zip"]
    os.utime(file, (1, 1))
    assert get(pets.url(sha256=SHA256)) == file
    assert len(pets.asked) == 1


def test_with_a_checksum_a_kept_file_is_replaced_where_it_is_another(pets, get):
    pets.content = CONTENT[::-1]
    get(pets.url())
    pets.content = CONTENT
    assert get(pets.url(sha256=SHA256)).read_bytes() == CONTENT


def test_no_room_is_one_sentence_and_keeps_nothing(pets, tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from pawprint.data.sources.download import download\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"  # as a full disk
        "try: download(sys.argv[1], Path(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, pets.url(), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("UserError")
    assert "cannot be kept in" in said
    assert "see that there is room" in said
    assert pets.methods() == ["HEAD", "GET"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def test_a_folder_that_cannot_be_written_is_one_sentence(pets, tmp_path, refusal):
    (tmp_path / "downloads").write_bytes(b"")
    assert "cannot be kept in" in refusal(pets.url())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://", "no complete URL"),
        ("https:///pets.zip", "no complete URL"),
        ("https://host:port/pets.zip", "no complete URL"),
        ("https://ho st/pets.zip", "no complete URL"),
        ("https://host/pets\x1b[2J.zip", r"pets\x1b[2J.zip"),
        ("https://host/pets.zip#sha256=abc", "64 hexadecimal digits"),
        ("https://host/pets.zip#md5=" + "ab" * 16, "64 hexadecimal digits"),
        ("https://host/pets.zip#" + "ab" * 32, "64 hexadecimal digits"),
        ("http://host/pets.zip", "is plain http"),
        ("http://127.0.0.1.example.com/pets.zip", "is plain http"),
        ("https://me:sec/ret@host/pets.zip", "no complete URL"),
        ("http://me:secret@host/pets.zip?token=secret", "is plain http"),
    ],
)
def test_a_url_that_will_not_do_is_refused_before_anything_is_sent(refusal, url, said):
    message = refusal(url)
    assert said in message
    assert "secret" not in message
    assert "ret@" not in message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8:80", "[::1]:80"])
def test_plain_http_is_fine_on_this_machine(host):
    assert parse(f"http://{host}/pets.zip").url == f"http://{host}/pets.zip"


def test_plain_http_is_fine_with_a_checksum():
    assert parse(f"http://host/pets.zip#sha256={SHA256}").sha256 == SHA256


def test_redirects_are_followed(pets, get):
    pets.redirects = {"/pets.zip": "/elsewhere/1", "/elsewhere/1": pets.url("/2?x=1")}
    assert get(pets.url()).read_bytes() == CONTENT
    paths = ["/pets.zip", "/elsewhere/1", "/2?x=1"]
    assert [request["path"] for request in pets.asked] == paths * 2


def test_a_circle_of_redirects_ends(pets, refusal):
    pets.redirects = {"/pets.zip": "/pets.zip"}
    assert "leads in a circle" in refusal(pets.url())


@pytest.mark.parametrize("target", ["http://example.com/x.zip", "ftp://host/x", "file:///etc/x"])
def test_a_redirect_to_an_unsafe_place_is_refused(pets, refusal, target):
    pets.redirects = {"/pets.zip": target}
    assert f'leads to "{target}", which is not https' in refusal(pets.url())


def test_no_way_leads_from_https_to_http_unless_a_checksum_is_given():
    before = "https://host/pets.zip"
    for after in ("http://host/pets.zip", "http://127.0.0.1/pets.zip"):
        assert not parse(before).trusts(after)
        assert parse(f"{before}#sha256={SHA256}").trusts(after)


def test_a_password_is_not_sent_to_another_server(pets, get):
    pets.redirects = {"/pets.zip": f"http://localhost:{pets.address.split(':')[1]}/there.zip"}
    get(f"http://me:secret@{pets.address}/pets.zip")
    sent = ["Authorization" in request for request in pets.asked]
    assert sent == [True, False, True, False]


def test_this_machine_is_asked_without_the_proxy(pets, get, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(pets.url()).read_bytes() == CONTENT


def test_a_failure_says_nothing_secret(pets, refusal, caplog):
    pets.cuts = [10] * 10
    message = refusal(f"http://me:secret@{pets.address}/pets.zip?token=secret")
    assert "secret" not in message + caplog.text


# what it says, and two at once


def test_one_line_says_what_comes_and_one_what_came(pets, get, caplog, capsys):
    caplog.set_level(logging.INFO)
    get(pets.url())
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"downloading {pets.url()} to ")
    assert last.endswith(f"sha256 {SHA256}")
    assert capsys.readouterr().err == ""  # no bar: nobody watches


def test_two_at_once_download_once(pets, get):
    files = []
    threads = [threading.Thread(target=lambda: files.append(get(pets.url()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(files)) == 1
    assert files[0].read_bytes() == CONTENT
    assert pets.methods() == ["HEAD", "GET", "HEAD", "HEAD", "HEAD"]


def test_nothing_of_the_web_is_imported_where_nothing_is_downloaded():
    code = "import sys, pawprint.data.sources.source; print({'aiohttp', 'fsspec'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("text", "answer"),
    [("https://host/x", True), ("HTTP://host", True), ("data/x", False), ("s3://x/y", True)],
)
def test_an_address_is_told_from_a_path(text, answer):
    assert is_address(text) is answer


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:secret@host/pets.zip?t=1#sha256=ab", "https://host/pets.zip"),
        ("https://host:80/@me/pets.zip", "https://host:80/@me/pets.zip"),
        ("https://me:se#cret@host/pets.zip", "https://host/pets.zip"),
        ("https://host/\n\x1b.zip", r"https://host/\n\x1b.zip"),
        ("https://token@host/pets.zip", "https://host/pets.zip"),
        ("abfs://container@account.host/pets", "abfs://container@account.host/pets"),
        ("sftp://me:secret@host/pets", "sftp://host/pets"),
    ],
)
def test_what_is_shown_of_a_url(url, text):
    assert shown(url) == text
