"""Archives of every kind: what is unpacked, and what is refused."""

import bz2
import gzip
import io
import os
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib

import pytest
from opening import OUT, refusal

from pawprint.data.sources.archive import Bounds, unpack
from pawprint.data.sources.source import open_images
from pawprint.system.errors import UserError

COMPRESSIONS = {".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.bz2": "bz2", ".tar.xz": "xz"}
ENDINGS = [".zip", *COMPRESSIONS]


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


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


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_archive_is_unpacked_and_cleared_away(tmp_path, pictures, ending):
    archive = pack(pictures, tmp_path / f"pictures{ending}")
    with open_images(archive, OUT) as folder:
        content = (folder / "cats" / "001.png").read_bytes()
    assert content == (pictures / "cats" / "001.png").read_bytes()
    assert not folder.exists()


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
        with open_images(archive, output=archive) as folder:
            assert (folder / "outside.png").is_file()
    else:
        assert "may not be unpacked safely" in refusal(archive, output=archive)
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


# members


@pytest.mark.parametrize(
    ("method", "called"), [(9, "Deflate64, as Windows packs large files"), (97, "method 97")]
)
def test_a_zip_packed_as_is_not_supported_is_not_called_damaged(tmp_path, pictures, method, called):
    archive = pack(pictures, tmp_path / "pictures.zip")
    content = archive.read_bytes()
    for start, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):  # of every member, in both its headers
        parts = content.split(start)
        at -= len(start)
        parts[1:] = [p[:at] + struct.pack("<H", method) + p[at + 2 :] for p in parts[1:]]
        content = start.join(parts)
    archive.write_bytes(content)
    message = refusal(archive)
    assert f'is packed with {called}, which is not supported ("cats/000.png")' in message
    assert "damaged" not in message


def zip_of(path, *members, compression=zipfile.ZIP_STORED):
    """A zip of (name or ZipInfo, content) pairs."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def tar_of(path, *members, mode="w", **options):
    """A tar of (name or TarInfo, content) pairs."""
    with tarfile.open(path, mode, **options) as file:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def zip_link(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, target


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpacked(archive):
    with open_images(archive, OUT) as folder:
        return content_of(folder)


def bounded(archive, tmp_path, **bounds):
    target = tmp_path / "target"
    target.mkdir()
    try:
        unpack(archive, target, name=str(archive), bounds=Bounds(**bounds))
    finally:
        written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        shutil.rmtree(target)
    return written


@pytest.mark.parametrize(
    "members",
    [
        [link("cats", "..")],
        [link("cats/a", "../../outside")],
        [link("cats/a", "/etc/passwd")],
        [link("a", "b/../../outside")],
        [link("a/b/up", "../.."), link("c", "a/b/up/../../../../outside")],
        [link("cats/1.png", "../outside", tarfile.LNKTYPE)],
        [link("up", "."), ("up/../../outside", b"evil")],
        [link("up/", "..")],  # taken for one inside of "up" where its name is not made plain
        [link("a/b/", "../..")],
    ],
)
def test_no_link_of_a_tar_leads_outside(tmp_path, members):
    archive = tar_of(tmp_path / "a.tar", *members)
    message = refusal(archive, output=tmp_path / "here" / "out")
    assert "may not be unpacked safely" in message
    assert not (tmp_path / "outside").exists()


def test_a_way_up_through_another_link_stays_inside(tmp_path):
    # The way as written leads two folders up from inside the link's own target: out of the folder.
    archive = tar_of(
        tmp_path / "a.tar", ("x/y/1.png", b"1"), link("x/y/up", "../.."), link("c", "x/y/up/../1")
    )
    with open_images(archive, output=tmp_path / "here" / "out") as folder:
        for path in folder.rglob("*"):
            assert path.resolve().is_relative_to(folder.resolve())


def test_nothing_is_written_through_a_link(tmp_path):
    archive = tar_of(tmp_path / "a.tar", link("cats", "dogs"), ("cats/1.png", b"1"))
    assert "as a folder and as a file too" in refusal(archive)
    later = tar_of(tmp_path / "b.tar", ("cats/1.png", b"1"), link("cats", "dogs"))
    assert "as a folder and as a file too" in refusal(later)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_links_inside_an_archive_lead_where_they_did(tmp_path, pack):
    members = [
        link("cats/2.png", "1.png") if pack is tar_of else zip_link("cats/2.png", "1.png"),
        ("cats/1.png", b"one"),
        link("all", "./cats/.") if pack is tar_of else zip_link("all", "./cats/."),
    ]
    with open_images(pack(tmp_path / "a", *members), OUT) as folder:
        assert (folder / "cats/2.png").read_bytes() == b"one"
        assert (folder / "cats/2.png").is_symlink()
        assert (folder / "all" / "1.png").read_bytes() == b"one"


def test_a_link_of_a_zip_that_leads_outside_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", zip_link("cats", "/etc"))
    assert "may not be unpacked safely" in refusal(archive)


def test_a_hard_link_becomes_a_copy(tmp_path):
    archive = tar_of(tmp_path / "a", ("1", b"one"), link("2", "./1", tarfile.LNKTYPE))
    assert unpacked(archive) == {"1": b"one", "2": b"one"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_packed_twice_is_there_once(tmp_path):
    archive = tar_of(tmp_path / "a", ("1", b"one"), link("1", "1", tarfile.LNKTYPE))
    assert unpacked(archive) == {"1": b"one"}


@pytest.mark.parametrize("target", ["3", "cats", "soft"])
def test_a_hard_link_to_no_earlier_file_is_refused(tmp_path, target):
    members = [("cats/1", b"one"), link("soft", "cats/1"), link("2", target, tarfile.LNKTYPE)]
    assert f'as a link to "{target}"' in refusal(tar_of(tmp_path / "a", *members))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(tmp_path, kind):
    assert "is a device" in refusal(tar_of(tmp_path / "a.tar", link("cats/null", "", kind)))


def test_a_device_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("null")
    info.create_system, info.external_attr = 3, 0o020666 << 16
    assert "is a device" in refusal(zip_of(tmp_path / "a.zip", (info, b"")))


ODD_NAMES = [
    "a" * 255,
    "new\nline.png",
    "quo\"te'.png",
    "kätzchen 🐈.png",
    "c:",
    "-rf *.png",
    "%s{0}.png",
    "\x1b[2J.png",
    "trailing. ",
]


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_odd_names_are_kept(tmp_path, pack):
    members = [(f"cats/{name}", name.encode()) for name in ODD_NAMES]
    found = unpacked(pack(tmp_path / "a", *members))
    assert found == {f"cats/{name}": name.encode() for name in ODD_NAMES}


def test_a_name_that_is_no_utf_8_is_kept(tmp_path):
    name = os.fsdecode(b"cats/\xff\xfe.png")
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = tar_of(tmp_path / "a.tar", (name, b"1"), format=kind, errors="surrogateescape")
        with open_images(archive, OUT) as folder:
            assert os.listdir(os.fsencode(folder / "cats")) == [b"\xff\xfe.png"]  # noqa: PTH208


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_a_name_that_the_disk_cannot_hold_is_one_short_sentence(tmp_path, pack):
    message = refusal(pack(tmp_path / "a", (f"cats/\x1b[2J{'a' * 300}.png", b"")))
    assert r"cats/\x1b[2Jaaa" in message
    assert "a name that this disk cannot hold" in message
    assert len(message) < 400


@pytest.mark.parametrize("name", ["\x1b]0;evil\x07/../../x", "../\u202egnp.exe", "../a\nb"])
def test_a_name_cannot_steer_the_terminal_through_an_error(tmp_path, name):
    assert "may not be unpacked safely" in refusal(tar_of(tmp_path / "a.tar", (name, b"")))


@pytest.mark.parametrize("name", ["C:/x.png", "c:\\x.png", "C:", "\\\\server\\x", "..\\x.png"])
def test_a_zip_with_a_way_out_of_windows_is_refused(tmp_path, name):
    assert "may not be unpacked safely" in refusal(zip_of(tmp_path / "a.zip", (name, b"")))


def test_backslashes_in_a_zip_part_folders(tmp_path):
    members = [("cats\\", b""), ("cats\\1.png", b"1"), ("dogs\\big\\2.png", b"2")]
    archive = zip_of(tmp_path / "a.zip", *members)
    assert unpacked(archive) == {"cats/1.png": b"1", "dogs/big/2.png": b"2"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_of_two_members_with_one_name_the_later_stays(tmp_path, pack):
    members = [("cats/1", b"first, long"), ("cats/2", b"2"), ("./cats//1", b"second")]
    assert unpacked(pack(tmp_path / "a", *members)) == {"cats/1": b"second", "cats/2": b"2"}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("names", [("cats", "cats/1.png"), ("cats/1.png", "cats")])
def test_a_member_that_is_file_and_folder_is_refused(tmp_path, pack, names):
    archive = pack(tmp_path / "a", *((name, b"1") for name in names))
    assert "as a folder and as a file too" in refusal(archive)


def test_folders_upon_folders_are_refused(tmp_path):
    assert "deeper than 100 folders" in refusal(tar_of(tmp_path / "a", ("a/" * 1500 + "1", b"")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_to_folders_upon_folders_is_refused_at_once(tmp_path, kind):
    archive = tar_of(tmp_path / "a", link("1", "a/" * 2_000_000 + "1", kind))
    assert "deeper than 100 folders" in refusal(archive)


def test_what_a_tar_says_of_modes_keeps_no_picture_from_being_read(tmp_path):
    folder, file = tarfile.TarInfo("cats"), tarfile.TarInfo("cats/1.png")
    folder.type, folder.mode, file.mode = tarfile.DIRTYPE, 0, 0o4000
    with open_images(tar_of(tmp_path / "a.tar", (folder, b""), (file, b"1")), OUT) as inside:
        assert (inside / "cats/1.png").stat().st_mode & 0o7444 == 0o444
        assert (inside / "cats").stat().st_mode & 0o500 == 0o500


# size


def test_an_ordinary_archive_is_within_the_bounds(tmp_path, pictures):
    for ending in ENDINGS:
        archive = pack(pictures, tmp_path / f"pictures{ending}")
        assert bounded(archive, tmp_path, members=20, unsuspicious=100_000, ratio=1) > 0


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_too_many_members_are_refused(tmp_path, pack):
    archive = pack(tmp_path / "a", *((f"cats/{i}", b"") for i in range(12)))
    with pytest.raises(UserError, match="more than 10 files and folders"):
        bounded(archive, tmp_path, members=10)


def bomb(path, kind, size=3_000_000):
    if kind == "zip":
        return zip_of(path, ("cats/1", bytes(size)), compression=zipfile.ZIP_DEFLATED)
    if kind == "header":  # nothing but headers
        header = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)
        path.write_bytes(gzip.compress(header * (size // 512) + bytes(1024)))
    elif kind == "after":  # nothing but what comes behind the last member
        path.write_bytes(gzip.compress(tarfile.TarInfo("a").tobuf() + bytes(size)))
    else:
        tar_of(path, ("cats/1", bytes(size)), mode=f"w:{kind}")
    return path


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz", "header", "after"])
def test_what_shrinks_as_no_picture_does_is_refused_above_a_size(tmp_path, kind):
    archive = bomb(tmp_path / "a", kind)
    bounded(archive, tmp_path, ratio=20)
    with pytest.raises(UserError, match=r"more than 0\.001 GB, too much for its own size"):
        bounded(archive, tmp_path, ratio=20, unsuspicious=1_000_000)
    bounded(archive, tmp_path, ratio=100_000, unsuspicious=1_000_000)


def test_a_zip_that_declares_less_than_it_holds_is_not_written_beyond(tmp_path):
    archive = bomb(tmp_path / "a", "zip")
    content = bytearray(archive.read_bytes())
    for place in (22, content.index(b"PK\1\2") + 24):
        content[place : place + 4] = struct.pack("<I", 1000)
    archive.write_bytes(content)
    assert "is damaged" in refusal(archive)


def test_many_members_over_the_same_bytes_are_refused_by_what_they_declare(tmp_path):
    archive = zip_of(tmp_path / "a", ("1", bytes(100_000)))
    content = archive.read_bytes()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry, count = content[start:end], 100
    ending = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, count * len(entry), start, 0)
    archive.write_bytes(content[:start] + entry * count + ending)
    with pytest.raises(UserError, match="too much for its own size"):
        bounded(archive, tmp_path, ratio=20, unsuspicious=1000)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_no_archive_takes_the_last_of_the_disk(tmp_path, pack, monkeypatch):
    archive = pack(tmp_path / "a", ("1", bytes(300_000)), ("2", bytes(300_000)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=620_000))
    with pytest.raises(UserError, match=r"0\.0006\d* GB or more, .* room for 0\.000589 GB"):
        bounded(archive, tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=640_000))
    assert bounded(archive, tmp_path) == 600_000


def test_a_sparse_member_counts_with_its_holes(tmp_path):
    header = bytearray(tarfile.TarInfo("1").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386 : 386 + 24] = b"%011o\0" % (10**9) + b"%011o\0" % 0  # ends with a hole
    header[483 : 483 + 12] = b"%011o\0" % (10**9)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header + bytes(1024))
    with pytest.raises(UserError, match="too much for its own size"):
        bounded(tmp_path / "a.tar", tmp_path, unsuspicious=1_000_000)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"])
def test_a_header_that_fills_the_memory_is_refused(tmp_path, kind):
    info = tarfile.TarInfo("a")
    info.type, info.size = kind, 20_000_000
    content = info.tobuf(tarfile.GNU_FORMAT) + bytes(20_000_000)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content, 1))
    assert "header is too long" in refusal(tmp_path / "a.tar.gz")


def test_headers_upon_headers_are_called_damaged(tmp_path):
    info = tarfile.TarInfo("a")
    info.type, info.size = b"x", 11
    header = info.tobuf(tarfile.USTAR_FORMAT) + b"11 path=abc".ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(header * 3000)
    assert "is damaged" in refusal(tmp_path / "a.tar")


def test_a_member_of_negative_size_is_called_damaged_at_once(tmp_path):
    info = tarfile.TarInfo("a")
    info.size = -512
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "is damaged" in refusal(tmp_path / "a.tar")


def test_a_wrong_checksum_at_the_end_of_a_tar_gz_is_called_damaged(tmp_path, pictures):
    archive = pack(pictures, tmp_path / "pictures.tar.gz")
    content = bytearray(archive.read_bytes())
    content[-6] ^= 0xFF
    archive.write_bytes(content)
    assert "is damaged" in refusal(archive)


def test_something_compressed_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"hello" * 1000))
    (tmp_path / "a.bz2").write_bytes(bz2.compress(b"hello" * 1000))
    assert "neither a folder nor an archive" in refusal(tmp_path / "a.gz")
    assert "neither a folder nor an archive" in refusal(tmp_path / "a.bz2")


# names in a zip


def zip_without_flag(path, *members):
    """A zip of (bytes, extra field, content), whose names do not say that they are UTF-8."""
    stand_ins = [f"{index:0{len(name)}}" for index, (name, _, _) in enumerate(members)]
    with zipfile.ZipFile(path, "w") as file:
        for stand_in, (_, extra, content) in zip(stand_ins, members, strict=True):
            info = zipfile.ZipInfo(stand_in)
            info.extra = extra
            file.writestr(info, content)
    packed = path.read_bytes()
    for stand_in, (name, _, _) in zip(stand_ins, members, strict=True):
        packed = packed.replace(stand_in.encode(), name)
    path.write_bytes(packed)
    return path


def unicode_path(name, told, version=1):
    """Info-ZIP's extra field that says what a name is in UTF-8."""
    content = struct.pack("<BL", version, zlib.crc32(name)) + told.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


KITTEN = "cats/kätzchen 🐈.png"


def test_a_name_in_utf_8_needs_no_flag(tmp_path, caplog):
    archive = zip_without_flag(tmp_path / "a.zip", (KITTEN.encode(), b"", b"1"))
    assert unpacked(archive) == {KITTEN: b"1"}
    assert caplog.messages == []


def test_a_name_that_is_no_utf_8_is_of_the_old_code_page_and_told(tmp_path, caplog):
    archive = zip_without_flag(tmp_path / "a.zip", ("cats/kätzchen.png".encode("cp437"), b"", b"1"))
    assert unpacked(archive) == {"cats/kätzchen.png": b"1"}
    (said,) = caplog.messages
    assert said.startswith('"a.zip": the encoding of 1 names as "cats/kätzchen.png" is not known')


def test_a_name_may_be_told_beside_the_name(tmp_path):
    name = b"cats/k?tzchen ?.png"
    extra = b"UT\x05\0\x01abcd" + unicode_path(name, KITTEN)
    archive = zip_without_flag(tmp_path / "a.zip", (name, extra, b"1"))
    assert unpacked(archive) == {KITTEN: b"1"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_name_told_beside_another_name_does_not_count(tmp_path, version):
    name = b"cats/renamed.png"
    extra = unicode_path(name if version == 2 else b"cats/before.png", KITTEN, version)
    archive = zip_without_flag(tmp_path / "a.zip", (name, extra, b"1"))
    assert unpacked(archive) == {"cats/renamed.png": b"1"}


@pytest.mark.parametrize("told", ["../outside.png", "/outside.png", "c:/outside.png"])
def test_a_name_told_beside_the_name_cannot_lead_outside(tmp_path, told):
    extra = unicode_path(b"cats/1.png", told)
    archive = zip_without_flag(tmp_path / "a.zip", (b"cats/1.png", extra, b"1"))
    assert "may not be unpacked safely" in refusal(archive, output=tmp_path / "in" / "out")


def test_what_the_zip_program_writes_has_its_names(tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("needs the program zip")
    (tmp_path / "cats").mkdir()
    (tmp_path / KITTEN).write_bytes(b"1")
    subprocess.run(["zip", "-qr", "a.zip", "cats"], cwd=tmp_path, check=True)
    assert unpacked(tmp_path / "a.zip") == {KITTEN: b"1"}
