import io
import tarfile
import zipfile

import pytest

from pawprint.errors import UserError
from pawprint.images.source import opened

COMPRESSIONS = {".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tar.xz": "xz"}
ENDINGS = [".zip", *COMPRESSIONS]


def pack(folder, archive):
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.rglob("*.png")):
                file.write(path, path.relative_to(folder))
    else:
        ending = next(end for end in COMPRESSIONS if archive.name == "pictures" + end)
        with tarfile.open(archive, f"w:{COMPRESSIONS[ending]}") as file:
            file.add(folder, arcname=".")
    return archive


@pytest.fixture
def pictures(tmp_path, paint_folder):
    return paint_folder(tmp_path / "pictures", {"cats": 3, "dogs": 3})


def test_a_folder_is_yielded_as_it_is(pictures):
    with opened(pictures) as folder:
        assert folder == pictures


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_archive_is_unpacked_and_cleared_away(tmp_path, pictures, ending):
    archive = pack(pictures, tmp_path / f"pictures{ending}")
    with opened(archive) as folder:
        content = (folder / "cats" / "001.png").read_bytes()
    assert content == (pictures / "cats" / "001.png").read_bytes()
    assert not folder.exists()


def test_an_archive_is_known_by_its_content_whatever_its_name(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip").rename(tmp_path / "download")
    with opened(archive) as folder:
        assert (folder / "dogs" / "002.png").is_file()


def test_it_is_cleared_away_after_an_error_too(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    with pytest.raises(RuntimeError), opened(archive) as folder:
        raise RuntimeError
    assert not folder.exists()


def test_it_is_unpacked_beside_the_output_where_one_is_named(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.tar")
    with opened(archive, beside=tmp_path / "data" / "prepared") as folder:
        assert folder.parent == tmp_path / "data"
    assert list((tmp_path / "data").iterdir()) == []


def refusal(images, beside=None):
    with pytest.raises(UserError) as caught, opened(images, beside):
        pass
    return str(caught.value)


def test_missing_pictures_are_named(tmp_path):
    assert refusal(tmp_path / "none").startswith(f'The pictures "{tmp_path / "none"}" were not')


@pytest.mark.parametrize("content", [b"", b"hello", b"\1" * 2000])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    assert "neither a folder nor an archive" in refusal(tmp_path / "notes.txt")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("part", [0, 0.02, 0.5])
def test_an_archive_cut_short_is_called_damaged(tmp_path, pictures, ending, part):
    archive = pack(pictures, tmp_path / f"pictures{ending}")
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * part)])
    message = refusal(archive)
    assert "is damaged" in message
    assert str(archive) in message


def test_a_zip_with_a_wrong_checksum_is_called_damaged(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    content = bytearray(archive.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    archive.write_bytes(content)
    assert "is damaged" in refusal(archive)


def test_a_tar_with_a_damaged_header_in_its_middle_is_called_damaged(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.tar")
    with tarfile.open(archive) as file:
        offset = file.getmembers()[4].offset
    content = bytearray(archive.read_bytes())
    content[offset : offset + 512] = b"\xff" * 512
    archive.write_bytes(content)
    assert "is damaged" in refusal(archive)


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "cats/../../outside.png"])
@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_that_leads_outside_is_refused(tmp_path, name, ending):
    archive = tmp_path / "in" / "here" / f"pictures{ending}"
    archive.parent.mkdir(parents=True)
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(name, b"evil")
    else:
        with tarfile.open(archive, "w:gz") as file:
            member = tarfile.TarInfo(name)
            member.size = 4
            file.addfile(member, io.BytesIO(b"evil"))
    if ending == ".tar.gz" and name.startswith("/"):  # tar's own rule: the slash is dropped
        with opened(archive, beside=archive) as folder:
            assert (folder / "outside.png").is_file()
    else:
        assert "may not be unpacked safely" in refusal(archive, beside=archive)
    assert [path.name for path in tmp_path.rglob("outside.png")] == []


def test_a_link_out_of_an_archive_is_refused(tmp_path):
    archive = tmp_path / "pictures.tar"
    with tarfile.open(archive, "w") as file:
        member = tarfile.TarInfo("cats")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        file.addfile(member)
    assert "may not be unpacked safely" in refusal(archive)


def test_an_encrypted_zip_is_refused_with_a_way_out(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.zip")
    content = bytearray(archive.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + 8] |= 1  # the flag in the first entry of the directory
    archive.write_bytes(content)
    assert "is encrypted" in refusal(archive)
