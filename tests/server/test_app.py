"""Which pictures of the project the page offers."""

from web_server import picture, serving

from pawprint.server.app import find_examples
from pawprint.server.model import WatchedModel


def test_eight_pictures_are_spread_over_the_folder(tmp_path):
    for place in range(80):
        (tmp_path / f"{place:02}.jpg").write_bytes(picture(place))
    names = [example.name for example in find_examples(tmp_path, 10**6)]
    assert names == [f"{place:02}.jpg" for place in range(0, 80, 10)]


def test_what_a_browser_does_not_show_and_what_is_too_large_is_no_example(tmp_path, network):
    (tmp_path / "a.svg").write_text("<svg/>")
    (tmp_path / "b.tif").write_bytes(picture(1))
    (tmp_path / "c.PNG").write_bytes(picture(1))
    (tmp_path / "d.jpg").write_bytes(bytes(2000))
    found = find_examples(tmp_path, 1999)
    assert [e.name for e in found] == ["c.PNG"]
    with serving(WatchedModel(str(network)), examples=found) as server:
        assert server.get("examples/0").headers["content-type"] == "image/png"


def test_there_may_be_none(tmp_path):
    assert find_examples(tmp_path, 10**6) == []
    assert find_examples(tmp_path / "nowhere", 10**6) == []
    assert find_examples(None, 10**6) == []
    (tmp_path / "one.jpg").write_bytes(picture(1))
    assert len(find_examples(tmp_path / "one.jpg", 10**6)) == 1
