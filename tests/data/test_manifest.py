from pawprint.data.manifest import number_column, text_column


def test_texts_and_numbers_may_be_missing():
    assert text_column(["a", None, "", "ü"]).to_pylist() == ["a", None, "", "ü"]
    assert number_column([1, None, 0, -(2**40)]).to_pylist() == [1, None, 0, -(2**40)]
    assert text_column([]).to_pylist() == number_column([]).to_pylist() == []
