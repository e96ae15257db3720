import pytest

from pawprint.config.paths import Paths, weights_file
from pawprint.system.errors import UserError


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_a_word_is_no_file(word):
    assert weights_file(word) is None


def test_a_folder_whose_name_begins_like_a_home_is_of_the_project(tmp_path):
    assert (
        Paths(tmp_path).given("~nobody-of-that-name/a") == tmp_path / "~nobody-of-that-name" / "a"
    )


def test_weights_that_are_not_there_are_told(tmp_path):
    with pytest.raises(UserError, match="which is not a file"):
        weights_file(str(tmp_path))
    file = tmp_path / "a.h5"
    file.touch()
    assert weights_file(str(file)) == file
