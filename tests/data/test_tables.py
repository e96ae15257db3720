import numpy as np
import pytest

from pawprint.data.tables import number_column, read_columns, text_column, write_columns

RECORD = np.dtype([("name", "S5"), ("size", "<u4"), ("place", "<i8"), ("is_blank", "?")])
RECORDS = np.array([(b"a", 1, -1, True), (b"b\0c", 2**32 - 1, 2**62, False)], RECORD)


def test_texts_and_numbers_may_be_missing():
    assert text_column(["a", None, "", "ü"]).to_pylist() == ["a", None, "", "ü"]
    assert number_column([1, None, 0, -(2**40)]).to_pylist() == [1, None, 0, -(2**40)]
    assert text_column([]).to_pylist() == number_column([]).to_pylist() == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_written_is_read(tmp_path, count):
    more = np.arange(count, dtype=np.float32)
    facts = {"pairs": [[0, 1]], "key": "ü"}
    write_columns(tmp_path / "a.arrow", RECORDS[:count], {"more": more}, facts)
    columns, found = read_columns(tmp_path / "a.arrow")
    assert found == facts
    assert list(columns) == ["name", "size", "place", "is_blank", "more"]
    for name in RECORD.names:
        assert columns[name].tolist() == RECORDS[:count][name].tolist()
    assert columns["more"].tolist() == more.tolist()


def test_any_arrow_reader_reads_it(tmp_path):
    import pyarrow as pa

    write_columns(tmp_path / "a.arrow", RECORDS, {}, {})
    with pa.OSFile(str(tmp_path / "a.arrow")) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table["size"].to_pylist() == [1, 2**32 - 1]
    assert table["name"].to_pylist() == [b"a\0\0\0\0", b"b\0c\0\0"]


def test_what_is_cut_or_changed_anywhere_is_a_value_error(tmp_path):
    path = tmp_path / "a.arrow"
    write_columns(path, RECORDS, {}, {"key": "value"})
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place])
        with pytest.raises(ValueError, match=r"damaged|empty"):
            read_columns(path)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            read_columns(path)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_columns(tmp_path / "gone.arrow")
