"""Names of files and folders that programs trip over."""

import io
import json
import os
import re
import shutil
import urllib.parse

import pytest

from pawprint.data.store import load_split
from pawprint.system.files import read_rows

NAMES = [
    "two  spaces .png",
    " begins with one.png",
    'it\'s "quoted".png',
    "a,b;c\td.png",
    "two\nlines\r\n.png",
    "cat 🐈‍⬛ שלום é.png",
    "e\u0301 is é.png",
    "<b>&amp;<i>.png",
    "%s %d {x} $HOME `ls`.png",
    "-rf.png",
    "\\back\\slash.png",
    "é" * 125 + "x.png",  # 255 bytes
    "no suffix",
    "wrong suffix.txt",
    "UPPER.PNG",
    "\x1b[31mred\x07.png",
    "\u202egnp.exe",
]
NO_UTF8 = [b"caf\xe9.png", b"\xff\xfe\x80", b"half of \xf0\x9f\x90.png"]


@pytest.fixture
def images(tmp_path, paint_textures):
    """A class of odd names and one of plain ones; both named oddly."""
    root = paint_textures(tmp_path / "pets, 'new'\n🐈", {'cats & "co"': 20, "d,o\ng s": 4})
    cats = root / 'cats & "co"'
    odd = [*NAMES, *map(os.fsdecode, NO_UTF8)]
    for path, name in zip(sorted(cats.iterdir()), odd, strict=True):
        path.rename(cats / name)
    return root


@pytest.mark.parametrize("image_size", [8, 130])
def test_every_name_comes_into_the_manifest_and_the_splits(preparation, images, image_size):
    made = preparation(images)
    assert made.run(image_size=image_size) == 24
    rows = made.manifest()
    assert len(rows) == 24
    expected = {f'cats & "co"/{name}' for name in NAMES}
    assert expected < set(rows)
    assert {row["problem"] for row in rows.values()} == {None}
    loaded = [load_split(made.out, split) for split in ("train", "validation", "test")]
    assert sorted(path for split in loaded for path in split.paths) == sorted(rows)
    assert {split.class_names[0] for split in loaded} == {'cats & "co"'}


def test_bytes_that_are_no_utf8_are_told_apart_and_readable(preparation, images):
    made = preparation(images)
    made.run()
    odd = sorted(path for path in made.manifest() if "\\udc" in path)
    assert odd == [
        'cats & "co"/\\udcff\\udcfe\\udc80',
        'cats & "co"/caf\\udce9.png',
        'cats & "co"/half of \\udcf0\\udc9f\\udc90.png',
    ]


def test_problems_name_files_as_they_are_called(preparation, images):
    cats = images / 'cats & "co"'
    (cats / "two\nlines\r\n.png").write_text("no picture")
    (cats / os.fsdecode(b"caf\xe9.png")).write_text("no picture either")
    shutil.copy(cats / "-rf.png", cats / "-rf 2,\n.png")
    made = preparation(images)
    made.run(report=made.base / "report", source="pets")
    summary = json.loads((made.out / "summary.json").read_text(encoding="utf-8"))
    assert {refused["path"] for refused in summary["refused"]} == {
        'cats & "co"/two\nlines\r\n.png',
        'cats & "co"/caf\\udce9.png',
    }
    problems = {path: row["problem"] for path, row in made.manifest().items() if row["problem"]}
    assert problems['cats & "co"/-rf.png'] == 'is a duplicate of cats & "co"/-rf 2,\n.png'
    page = (made.base / "report" / "audit.html").read_bytes().decode("utf-8")
    assert "<b>&amp;<i>.png" not in page
    links = re.findall(r'href="((?!#)[^"]*)"', page)
    paths = {urllib.parse.unquote_to_bytes(urllib.parse.urlsplit(link).path) for link in links}
    linked = [os.fsdecode(path) for path in paths]
    assert len(linked) > 5
    assert all((made.base / "report" / path).is_file() for path in linked)
    text = (made.base / "report" / "problems.csv").read_bytes().decode(errors="surrogateescape")
    with io.StringIO(text, newline="") as file:
        header, *rows = read_rows(file)
    told = {row[header.index("path")] for row in rows}
    assert {name.encode("utf-8", "backslashreplace").decode() for name in told} == set(problems)


def test_the_same_names_give_the_same_bytes_and_nothing_is_decoded_twice(preparation, images):
    made = preparation(images)
    made.run()
    before = made.content()
    assert made.run() == 0
    assert made.content() == before == made.undisturbed()


def test_an_output_of_an_odd_name_is_written_and_mended(preparation, images):
    made = preparation(images)
    made.out = made.base / "pre[p]ared, *\n🐈"
    made.run()
    left = made.base / f".{made.out.name}.999999999.tmp"
    left.mkdir()
    assert made.run() == 0
    assert not left.exists()
    assert len(made.manifest()) == 24
