import re
from html.parser import HTMLParser

from pawprint.comparison.compare import compare_runs
from pawprint.comparison.output import MOST_TILES, comparison_page

SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def page_of(*runs, curves=None, picture=lambda path: b"a jpeg"):
    return comparison_page(compare_runs(runs), curves=curves or {}, picture=picture)


def test_script_in_a_name_a_path_a_class_or_a_parameter_stays_text(a_run):
    def answer(p):
        return [(f"{SCRIPT}{{style}}.jpg", SCRIPT, {SCRIPT: p, "dogs": 1 - p})]

    metrics = {"test_accuracy": 1.0, f"test_recall_{SCRIPT}": 1.0}
    first, second = (
        a_run(answers=answer(p), name=SCRIPT, parameters={SCRIPT: SCRIPT * n}, metrics=metrics)
        for n, p in ((1, 0.9), (2, 0.1))
    )
    page = Page(page_of(first, second))
    assert [tag for tag, _ in page.elements].count("script") == 1  # its own
    assert page.text.count(SCRIPT) >= 8
    assert f"{SCRIPT}{{style}}.jpg" in page.text


def test_nothing_is_loaded_from_anywhere(a_run, cat):
    first, second = a_run(answers=[cat("a", 0.9)]), a_run(answers=[cat("a", 0.1)])
    source = page_of(first, second, curves={"val_loss": (b"light", b"dark")})
    page = Page(source)
    loaded = [
        value
        for tag, attributes in page.elements
        for key, value in attributes.items()
        if key in ("src", "srcset", "data", "poster") or (key == "href" and tag == "link")
    ]
    assert len(loaded) == 3
    assert all(value.startswith("data:image/") for value in loaded)
    assert not re.search(r"url\(|@import", source)
    (policy,) = (a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_a_run_is_linked_by_its_id(a_run):
    page = Page(page_of(a_run("1" * 32, address="http://host/#/1"), a_run("2" * 32)))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert next(link for link in links if not link.startswith("#")) == "http://host/#/1"
    assert "11111111" in page.text


def test_some_dozens_of_pictures_are_shown_and_the_rest_is_counted(a_run, cat):
    first = a_run(answers=[cat(f"{i}.jpg", 0.9) for i in range(1000)])
    second = a_run(answers=[cat(f"{i}.jpg", 0.1) for i in range(1000)])
    asked = []
    page = Page(page_of(first, second, picture=lambda path: asked.append(path) or b"a jpeg"))
    assert len(asked) == MOST_TILES
    assert sum(tag == "img" for tag, _ in page.elements) == MOST_TILES
    assert f"and {1000 - MOST_TILES} more" in page.text


def test_without_prepared_pictures_their_paths_are_shown_and_it_is_said(a_run, cat):
    first, second = a_run(answers=[cat("a.jpg", 0.9)]), a_run(answers=[cat("a.jpg", 0.1)])
    page = Page(page_of(first, second, picture=None))
    assert "a.jpg" in page.text
    assert "shown by their paths" in page.text
    assert "img" not in {tag for tag, _ in page.elements}


def test_names_that_are_no_utf8_can_be_written(a_run, cat):
    first, second = (a_run(answers=[cat("caf\udce9.jpg", p)]) for p in (0.9, 0.1))
    assert b"caf\\xe9.jpg" in page_of(first, second).encode("utf-8")


def test_a_name_in_an_attribute_holds_no_markup(a_run, cat):
    page = page_of(*(a_run(answers=[cat("a/b_c.jpg", p)]) for p in (0.9, 0.1)))
    assert not re.search(r'="[^"]*(<|&lt;)', page)
    assert 'alt="cats: a/b_c.jpg"' in page


def rows_of(page):
    """The texts of the cells after each row's heading, by the heading."""
    rows = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', page, re.DOTALL)
    texts = {}
    for heading, cells in rows:
        cell = [" ".join(Page(one).text.split()) for one in cells.split("<td")[1:]]
        texts[Page(heading).text] = [one.split(">", 1)[-1].strip() for one in cell]
    return texts


def test_figures_have_the_words_of_the_report_and_a_difference_that_says_which_way_is_better(
    a_run, cat
):
    first, second = (
        [cat(f"{i}.jpg", 0.9 if i < right else 0.1) for i in range(40)] for right in (20, 40)
    )
    before = {"test_accuracy": 0.5, "test_log_loss": 0.7, "weights": 10.0, "test_roc_auc": 0.75}
    after = {"test_accuracy": 1.0, "test_log_loss": 0.9, "weights": 12.0, "test_roc_auc": 0.75}
    page = page_of(a_run("1" * 32, first, metrics=before), a_run("2" * 32, second, metrics=after))
    rows = rows_of(page)
    assert not [heading for heading in rows if "test_" in heading]
    differences = {name: row[2] for name, row in rows.items() if len(row) == 3}
    accuracy = differences.pop("accuracy on test pictures")
    assert accuracy.startswith("▲ +0.5000 better beyond chance")
    assert accuracy.endswith("p < 0.0001")
    assert differences == {
        "log loss on test pictures": "▲ +0.2000 worse",
        "ROC AUC on test pictures": "0 same",
        "weights": "▲ +2",
    }


def test_runs_on_other_test_pictures_have_no_difference_in_test_figures(a_run, cat):
    first, second = (
        a_run(
            digest * 32,
            [cat("a.jpg", 0.9)],
            tags={"test_digest": digest},
            metrics={"test_accuracy": 0.5, "best_val_accuracy": float(digest) / 10},
        )
        for digest in "12"
    )
    rows = rows_of(page_of(first, second))
    assert rows["accuracy on test pictures"][2] == "–other test pictures"
    assert rows["best accuracy on validation pictures"][2] == "▲ +0.1000 better"
