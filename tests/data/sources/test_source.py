"""Where the folder of the pictures comes from."""

import hashlib
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from opening import OUT, refusal

from pawprint.config.paths import Paths
from pawprint.data.layout import find_pictures
from pawprint.data.sources.source import name_of, open_images


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


def pack(folder, archive):
    """Pack a folder, in the format that the archive's name says."""
    ending = next(end for end in (".zip", ".tar.gz", ".tar") if archive.name.endswith(end))
    kind = {".zip": "zip", ".tar.gz": "gztar", ".tar": "tar"}[ending]
    shutil.make_archive(str(archive).removesuffix(ending), kind, folder)
    return archive


@pytest.fixture
def pictures(tmp_path, paint_folder):
    return paint_folder(tmp_path / "pictures", {"cats": 3, "dogs": 3})


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_is_yielded_as_it_is(pictures):
    with open_images(pictures, OUT) as folder:
        assert folder == pictures


def test_an_archive_is_known_by_its_content_whatever_its_name(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip").rename(tmp_path / "download")
    with open_images(archive, OUT) as folder:
        assert (folder / "dogs" / "002.png").is_file()


def test_it_is_cleared_away_after_an_error_too(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    with pytest.raises(RuntimeError), open_images(archive, OUT) as folder:
        raise RuntimeError
    assert not folder.exists()


def test_it_is_unpacked_beside_the_output_where_one_is_named(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.tar")
    with open_images(archive, output=tmp_path / "data" / "prepared") as folder:
        assert folder.parent == tmp_path / "data"
    assert {path.suffix for path in (tmp_path / "data").iterdir()} == {".lock"}


def test_missing_pictures_are_named(tmp_path):
    assert refusal(tmp_path / "none").startswith(f'the pictures "{tmp_path / "none"}" were not')


# what a killed process leaves


def test_what_a_killed_process_left_is_removed_after_what_a_living_one_uses(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    out = tmp_path / "data" / "prepared"
    code = (
        "import pathlib, sys, time; from pawprint.data.sources.source import open_images\n"
        "with open_images(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])) as folder:\n"
        "    (folder / 'left').touch(); print(folder, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(archive), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        left = Path(other.stdout.readline().strip())
        killer = threading.Timer(0.5, other.send_signal, [signal.SIGKILL])
        killer.start()
        with open_images(archive, out) as mine:  # as soon as the other is gone
            assert not killer.is_alive()
            assert mine == left
            assert len(content_of(mine)) == 6
    assert not left.exists()


def test_two_outputs_beside_each_other_do_not_meet(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    with (
        open_images(archive, tmp_path / "one") as one,
        open_images(archive, tmp_path / "two") as two,
    ):
        assert content_of(one) == content_of(two)
    assert not one.exists()
    assert not two.exists()


def test_a_link_that_looks_like_something_left_is_not_followed(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    (tmp_path / ".prepared.pictures").symlink_to(pictures)
    assert "cannot be unpacked in" in refusal(archive, tmp_path / "prepared")
    assert len(list(pictures.rglob("*.png"))) == 6


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    (tmp_path / "data").write_bytes(b"")
    assert "cannot be unpacked in" in refusal(archive, output=tmp_path / "data" / "prepared")


# the shapes that pictures come in


@pytest.fixture
def pets(tmp_path, paint_folder):
    """A folder as the best known archive of cats and dogs holds it."""
    root = tmp_path / "pets"
    inner = paint_folder(root / "PetImages", {"Cat": 4, "Dog": 4}, suffix=".jpg")
    (inner / "Cat" / "666.jpg").write_bytes(b"")
    (inner / "Dog" / "11702.jpg").write_bytes((inner / "Dog" / "000.jpg").read_bytes()[:100])
    for name in ("Cat", "Dog"):
        (inner / name / "Thumbs.db").write_bytes(b"thumbs")
    (root / "readme[1].txt").write_text("read me")
    with zipfile.ZipFile(root / "MSR-LA - 3467.docx", "w") as document:
        document.writestr("word/document.xml", b"<xml/>")
    return root


@pytest.mark.parametrize("ending", ["", ".zip", ".tar", ".tar.gz"])
def test_cats_and_dogs_are_found_and_nothing_beside_them(tmp_path, pets, ending):
    images = pets
    if ending == ".zip":
        images = pack(pets, tmp_path / "kagglecatsanddogs.zip")
    elif ending:
        images = tmp_path / f"kagglecatsanddogs{ending}"
        with tarfile.open(images, "w:gz" if ending == ".tar.gz" else "w") as file:
            # At the end of a plain tar, the document is what a search for a zip would find.
            for name in ("PetImages", "readme[1].txt", "MSR-LA - 3467.docx"):
                file.add(pets / name, name)
    with open_images(images, OUT) as folder:
        layout = find_pictures(folder, images)
    cats = [f"PetImages/Cat/{name}.jpg" for name in ("000", "001", "002", "003", "666")]
    dogs = [f"PetImages/Dog/{name}.jpg" for name in ("000", "001", "002", "003", "11702")]
    assert layout.class_names == ["Cat", "Dog"]
    assert [file.path for file in layout.files] == sorted(cats + dogs)


def test_a_folder_with_links_to_itself_and_its_parent_ends(pictures):
    (pictures / "cats" / "self").symlink_to(pictures / "cats")
    (pictures / "cats" / "up").symlink_to(pictures)
    with open_images(pictures, OUT) as folder:
        files = [file.path for file in find_pictures(folder, pictures).files]
    assert {f"{name}/00{i}.png" for name in ("cats", "dogs") for i in range(3)} <= set(files)
    assert len(files) <= 9


# from the web


def test_an_archive_from_the_web_is_downloaded_kept_and_unpacked(tmp_path, pictures, web):
    web.content = pack(pictures, tmp_path / "pictures.tar.gz").read_bytes()
    for _ in range(2):
        with open_images(web.url(), tmp_path / "data" / "out", tmp_path / "kept") as folder:
            assert len(content_of(folder)) == 6
            assert folder.parent == tmp_path / "data"
    assert len(list((tmp_path / "kept").glob("*-pets.zip"))) == 1
    assert web.methods() == ["HEAD", "GET", "HEAD"]


def test_a_download_is_kept_beside_the_output_unless_said_otherwise(tmp_path, pictures, web):
    web.content = pack(pictures, tmp_path / "pictures.zip").read_bytes()
    url = web.url(sha256=hashlib.sha256(web.content).hexdigest())
    with open_images(url, tmp_path / "data" / "out"):
        assert len(list((tmp_path / "data" / "downloads").glob("*-pets.zip"))) == 1


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b""])
def test_a_page_instead_of_an_archive_is_named_by_its_url(tmp_path, web, content):
    web.content = content
    url = f"http://me:secret@{web.address}/pets.zip?token=secret"
    message = refusal(url, downloads=tmp_path)
    assert message.startswith(f'"{web.url()}" is damaged, or is neither a folder nor an archive')


def test_a_damaged_archive_from_the_web_is_named_by_its_url(tmp_path, pictures, web):
    web.content = pack(pictures, tmp_path / "pictures.zip").read_bytes()[:-30]
    message = refusal(web.url(), downloads=tmp_path / "kept")
    assert message.startswith(f'"{web.url()}" is damaged')
    assert str(next((tmp_path / "kept").glob("*-pets.zip"))) in message


@pytest.mark.parametrize("url", ["nowhere://bucket/pets.zip", "smb2://me:secret@host/pets.zip"])
def test_another_kind_of_url_is_refused_with_a_way_out(url):
    message = refusal(url)
    assert "`dvc import-url`" in message
    assert "secret" not in message


def test_a_configured_url_stays_as_it_is_and_a_path_is_meant_from_the_root(tmp_path):
    paths = Paths(tmp_path)
    assert paths.pictures("https://host/pets.zip#sha256=ab") == "https://host/pets.zip#sha256=ab"
    assert paths.pictures("data/../pets") == tmp_path / "pets"
    assert paths.downloads == tmp_path / "data" / "downloads"


def test_a_temporary_workspace_shares_the_downloads_of_its_origin(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    paths = Paths(tmp_path.resolve() / ".dvc" / "tmp" / "exps" / "x")
    assert paths.downloads == tmp_path.resolve() / "data" / "downloads"
    assert Paths(tmp_path / "else").downloads == tmp_path / "else" / "data" / "downloads"


def test_the_name_of_pictures_holds_nothing_secret(tmp_path):
    assert name_of("https://me:secret@host/pets.zip?t=1#sha256=ab") == "https://host/pets.zip"
    assert name_of(tmp_path) == str(tmp_path)
