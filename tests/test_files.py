import json
import os

import pytest

from pawprint.files import replacing_file, replacing_folder, write_json


class BrokenError(Exception):
    pass


def fill_half_of_a_file(path):
    with replacing_file(path) as temporary:
        temporary.write_text("half")
        raise BrokenError


def fill_half_of_a_folder(path):
    with replacing_folder(path) as temporary:
        (temporary / "new.npy").write_text("half")
        raise BrokenError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_on_success_and_nothing_else_stays(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with replacing_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "earlier"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["history.csv"]


def test_a_file_keeps_its_earlier_content_on_failure(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with pytest.raises(BrokenError):
        fill_half_of_a_file(path)
    assert path.read_text() == "earlier"
    assert names_in(tmp_path) == ["history.csv"]


def test_a_file_that_was_never_written_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("earlier")
    with pytest.raises(FileNotFoundError), replacing_file(path):
        pass
    assert path.read_text() == "earlier"


def test_the_temporary_file_has_the_suffix_and_the_folder_of_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "model.keras"
    with replacing_file(path) as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == path.parent
        temporary.write_bytes(b"")
    assert path.exists()


def test_a_file_is_made_where_there_was_none_and_not_on_failure(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(BrokenError):
        fill_half_of_a_file(path)
    assert names_in(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole_on_success(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with replacing_folder(path) as temporary:
        assert names_in(temporary) == []
        (temporary / "new.npy").write_text("new")
        assert names_in(path) == ["old.npy"]
    assert names_in(path) == ["new.npy"]
    assert names_in(tmp_path) == ["prepared"]


def test_a_folder_keeps_its_earlier_content_on_failure(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with pytest.raises(BrokenError):
        fill_half_of_a_folder(path)
    assert names_in(path) == ["old.npy"]
    assert names_in(tmp_path) == ["prepared"]


def test_a_folder_that_cannot_take_its_place_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "prepared"
    path.mkdir()
    (path / "old.npy").write_text("earlier")
    with pytest.raises(FileNotFoundError), replacing_folder(path) as temporary:
        temporary.rmdir()
    assert names_in(tmp_path) == ["prepared"]
    assert (path / "old.npy").read_text() == "earlier"


def test_a_new_folder_can_be_read_by_others(tmp_path):
    with replacing_folder(tmp_path / "deep" / "prepared"):
        pass
    assert (tmp_path / "deep" / "prepared").stat().st_mode & 0o777 == 0o755
    assert names_in(tmp_path / "deep") == ["prepared"]


def test_json_keeps_the_order_of_its_keys_and_every_letter(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"b": "größer", "a": [1, None]})
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("}\n")
    assert "größer" in text
    assert list(json.loads(text).items()) == [("b", "größer"), ("a", [1, None])]


def test_json_that_cannot_be_written_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": os})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names_in(tmp_path) == ["summary.json"]
