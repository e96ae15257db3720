"""The page in a real browser: a picture is dropped, the answer read."""

import base64
import csv
import io

import pytest
from web_server import Registry, picture, serving

from pawprint.server.app import find_examples
from pawprint.server.model import WatchedModel
from pawprint.server.reviews import Reviews

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], arguments[1], {type: "image/jpeg"}));
const event = arguments[2] === "drop"
  ? new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true})
  : new ClipboardEvent("paste", {clipboardData: carried, bubbles: true});
document.getElementById("drop").dispatchEvent(event);
"""


@pytest.fixture(scope="module")
def page(network, tmp_path_factory):
    """A server with two pictures to try, which keeps pictures for review."""
    folder = tmp_path_factory.mktemp("examples")
    for seed in range(2):
        (folder / f"{seed}.jpg").write_bytes(picture(seed))
    (folder / "notes.txt").write_text("no picture")
    examples = find_examples(folder, 10**6)
    reviews = Reviews(tmp_path_factory.mktemp("project") / "reviews")
    with serving(WatchedModel(str(network)), examples=examples, reviews=reviews) as server:
        server.reviews = reviews.folder
        yield server


@pytest.fixture
def tab(chromium, page):
    """A tab of the browser that has just opened the page."""
    chromium.get("about:blank")  # else what the page before still loads is told later
    chromium.get_log("browser")
    chromium.get(page.address)
    wait(
        chromium, lambda: text(chromium, "#accuracy") is not None and chosen(chromium, "#facts dd")
    )
    return chromium


def chosen(tab, selector):
    return tab.find_elements("css selector", selector)


def text(tab, selector):
    return tab.find_element("css selector", selector).text


def wait(tab, true, seconds=15):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(tab, seconds, poll_frequency=0.05).until(lambda _: true())


def bring(tab, content, name, how="drop"):
    """Drop or paste a file, and wait for its card to have an answer or a problem."""
    before = len(chosen(tab, ".answer"))
    tab.execute_script(DROP, base64.b64encode(content).decode(), name, how)
    wait(
        tab,
        lambda: len(chosen(tab, ".answer")) == before + 1 and not chosen(tab, ".answer.waiting"),
    )


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_brought_and_the_answer_read(tab, page, how):
    bring(tab, picture(1), "cat.jpg", how)
    assert " is not known as the champion: it has no record " in text(tab, "#notes")
    (expected,) = page.send(picture(1)).json()["predictions"]
    assert text(tab, ".answer .label span") == expected["label"]
    assert text(tab, ".answer .name") == "cat.jpg"
    ordered = sorted(expected["probabilities"].items(), key=lambda item: -item[1])
    assert [row.text.split("\n")[0] for row in chosen(tab, ".shares li")] == [
        name for name, _ in ordered
    ]
    shown = [float(b.text.strip("<> %\u00a0")) for b in chosen(tab, ".shares .number")]
    assert shown == pytest.approx([100 * share for _, share in ordered], abs=0.06)
    told = tab.find_element("id", "status").get_attribute("textContent")
    assert told.startswith(f"cat.jpg: {expected['label']}, ")


def test_several_files_are_chosen_and_one_that_is_no_picture_is_told(tab, tmp_path):
    for name, content in {"a.jpg": picture(1), "b.jpg": picture(2), "c.jpg": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
    tab.find_element("id", "files").send_keys(
        "\n".join(str(path) for path in sorted(tmp_path.iterdir()))
    )
    wait(tab, lambda: len(chosen(tab, ".answer:not(.waiting)")) == 3)
    assert [e.text for e in chosen(tab, ".answer .name")] == ["a.jpg", "b.jpg", "c.jpg"]
    assert text(tab, ".answer.problem .sentence") == "This file is not a picture."


def test_where_the_model_looked_is_shown_on_wish(tab):
    bring(tab, picture(1, (60, 40)), "cat.jpg")
    map_ = tab.find_element("css selector", ".answer .map")
    assert not map_.is_displayed()
    tab.find_element("css selector", ".look").click()
    assert map_.is_displayed()
    seen = tab.find_element("css selector", ".answer .picture").rect
    assert map_.rect == pytest.approx(seen, abs=1)
    assert seen["width"] / seen["height"] == pytest.approx(1.5, abs=0.02)
    tab.find_element("id", "look-label").click()  # all of them
    assert map_.is_displayed()
    tab.find_element("id", "look-label").click()
    assert not map_.is_displayed()


def test_an_example_is_tried_and_the_answers_are_cleared(tab):
    tries = chosen(tab, "#strip button")
    assert [e.get_attribute("aria-label") for e in tries] == ["Try 0.jpg", "Try 1.jpg"]
    tries[1].click()
    wait(tab, lambda: chosen(tab, ".answer:not(.waiting)"))
    assert text(tab, ".answer .name") == "1.jpg"
    tab.find_element("id", "clear").click()
    assert not chosen(tab, ".answer")


def test_names_that_are_markup_run_nothing(tab):
    names = ["<img src=x onerror=window.ran=1>.png", "<script>window.ran=1</script>.jpg"]
    for name in names:
        bring(tab, picture(1), name)
        bring(tab, b"no picture", name)
    assert {e.text for e in chosen(tab, ".answer .name")} == set(names)
    assert tab.execute_script("return window.ran") is None
    assert not chosen(tab, ".answer .name *")


def test_a_script_that_got_into_the_page_would_not_run(tab):
    tab.execute_script(
        "const made = document.createElement('div'); document.body.append(made);"
        "made.innerHTML = '<img src=x onerror=\"window.ran=1\">';"
    )
    wait(
        tab,
        lambda: any("Content Security Policy" in e["message"] for e in tab.get_log("browser")),
    )
    assert tab.execute_script("return window.ran") is None


@pytest.mark.parametrize("path", ["", "docs"])
def test_nothing_comes_from_another_host_and_nothing_is_refused(tab, page, path):
    tab.get(page.address + path)
    ready = "#facts dd" if not path else "#forms .card"
    wait(tab, lambda: chosen(tab, ready))
    if not path:
        bring(tab, picture(1), "cat.jpg")
    loaded = tab.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert loaded
    for address in loaded:
        assert address.startswith((page.address, "blob:" + page.address, "data:image/png"))
    assert not tab.get_log("browser")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_the_screen(tab, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    bring(tab, picture(1, (900, 90)), "a" * 200 + ".jpg")
    sizes = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = tab.execute_script(f"return {sizes}")
    tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert needed == there
    assert width - 20 < there <= width


def test_all_can_be_reached_by_keyboard(tab):
    from selenium.webdriver import ActionChains, Keys

    bring(tab, picture(1), "cat.jpg")
    tab.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = set()
    for _ in range(20):
        ActionChains(tab).send_keys(Keys.TAB).perform()
        active = tab.switch_to.active_element
        reached.add(active.get_attribute("id") or active.get_attribute("class") or active.tag_name)
    assert {"choose", "look", "copy", "save", "clear", "enlarge", "summary"} <= reached


def test_the_page_is_one_for_people_without_a_browser_too(page):
    response = page.get("")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in (
        "",
        "docs",
        "page.js",
        "answers.js",
        "camera.js",
        "docs.js",
        "style.css",
        "icon.svg",
    ):
        body = page.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in body
        assert "https://" not in body
    described = page.get("openapi.json").json()
    assert {"/predict", "/health", "/model", "/metrics"} <= set(described["paths"])


def test_pictures_to_try_are_given_with_their_type(page):
    names = page.get("examples").json()["examples"]
    assert names == ["0.jpg", "1.jpg"]
    response = page.get("examples/1")
    assert response.content == picture(1)
    assert response.headers["content-type"] == "image/jpeg"
    assert page.get("examples/2").status_code == 404


CARRY = """
const carried = new DataTransfer();
carried.setData(arguments[1], "https://pets.example/cat.jpg");
const event = arguments[0] === "drop"
  ? new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true})
  : new ClipboardEvent("paste", {clipboardData: carried, bubbles: true});
document.getElementById("drop").dispatchEvent(event);
"""
SEE = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.mark.parametrize(
    ("how", "kind"), [("drop", "text/uri-list"), ("drop", "text/plain"), ("paste", "text/plain")]
)
def test_a_link_or_text_is_answered_by_a_sentence(tab, how, kind):
    assert not chosen(tab, "#notice")[0].is_displayed()
    tab.execute_script(CARRY, how, kind)
    assert "a file is wanted" in text(tab, "#notice")
    assert not chosen(tab, ".answer")
    bring(tab, picture(1), "cat.jpg")
    assert not chosen(tab, "#notice")[0].is_displayed()


def test_a_server_that_is_away_is_told_on_the_page(chromium, network, tmp_path):
    for place in range(2):
        (tmp_path / f"{place}.jpg").write_bytes(picture(place))
    examples = find_examples(tmp_path, 10**6)
    with serving(WatchedModel(str(network)), examples=examples) as server:
        chromium.get(server.address)
        wait(chromium, lambda: len(chosen(chromium, "#strip button")) == 2)
        (tmp_path / "0.jpg").unlink()
        chosen(chromium, "#strip button")[0].click()
        wait(chromium, lambda: chosen(chromium, ".answer.problem"))
        assert text(chromium, ".answer .sentence") == (
            "This picture is gone: its file is not there any more."
        )
        chosen(chromium, "#clear")[0].click()
    chosen(chromium, "#strip button")[1].click()
    wait(chromium, lambda: chosen(chromium, ".answer.problem"))
    assert text(chromium, ".answer .sentence") == "The server does not answer."
    bring(chromium, picture(1), "cat.jpg")
    assert text(chromium, ".answer .sentence") == (
        "This file could not be sent: is it a folder, or does the server not answer any more?"
    )
    chromium.execute_script(SEE)
    wait(chromium, lambda: text(chromium, "#notice") == "The server does not answer.")


def test_the_page_learns_of_a_new_champion_and_old_cards_say_who_answered(chromium, tmp_path):
    registry = Registry(tmp_path)
    registry.add()
    with serving(WatchedModel("models:/colours@champion", registry.uri, seconds=0.05)) as server:
        chromium.get(server.address)
        wait(chromium, lambda: text(chromium, "#who") == "colours version 1")
        bring(chromium, picture(1), "cat.jpg")
        assert text(chromium, ".answer .by") == ""
        registry.add(strength=2)
        wait(chromium, lambda: server.get("health").json()["model"] == "colours version 2")
        chromium.execute_script(SEE)
        wait(chromium, lambda: text(chromium, "#who") == "colours version 2")
        assert text(chromium, ".answer .by") == "Answered by colours version 1"
        bring(chromium, picture(2), "dog.jpg")
        assert [e.text for e in chosen(chromium, ".answer .by")] == [
            "",
            "Answered by colours version 1",
        ]


@pytest.mark.parametrize(
    ("most", "said"), [(20_971, "20.5 kB"), (3 * 2**19, "1.5 MB"), (20 * 2**20, "20 MB")]
)
def test_sizes_are_said_alike_by_page_and_server(chromium, network, most, said):
    with serving(WatchedModel(str(network)), file_bytes=most) as server:
        chromium.get(server.address)
        wait(chromium, lambda: f"Up to {said} and " in text(chromium, "#limits"))
        large = bytes(most + 1)
        script = "add([new File([new Uint8Array(arguments[0])], 'large.jpg')])"
        chromium.execute_script(script, most + 1)
        wait(chromium, lambda: chosen(chromium, ".answer.problem"))
        shown = text(chromium, ".answer .sentence")
        (row,) = server.send(large).json()["predictions"]
        assert (
            shown
            == f"This file {row['problem']}."
            == (f"This file is larger than {said}: send a smaller one.")
        )


def test_one_map_less_is_not_all_maps_and_each_button_names_its_picture(tab):
    switch = tab.find_element("id", "look")
    for name in ("a.jpg", "b.jpg"):
        bring(tab, picture(1), name)
    tab.find_element("id", "look-label").click()
    assert switch.is_selected()
    first, second = chosen(tab, ".look")
    assert first.accessible_name == "Where it looked: b.jpg"
    first.click()
    assert not switch.is_selected()
    assert first.get_attribute("aria-pressed") == "false"
    assert second.get_attribute("aria-pressed") == "true"


def test_a_photo_is_taken_and_answered_and_the_camera_is_given_back(tab):
    button = tab.find_element("id", "photograph")
    wait(tab, button.is_displayed)  # there is a camera
    button.click()
    shoot = tab.find_element("id", "shoot")
    wait(tab, lambda: shoot.is_displayed() and shoot.is_enabled())
    tab.execute_script("window.stream = document.getElementById('view').srcObject")
    shoot.click()
    wait(tab, lambda: chosen(tab, ".answer:not(.waiting)"))
    assert not chosen(tab, ".answer.problem")
    assert text(tab, ".answer .name") == "photo.jpg"
    assert not shoot.is_displayed()
    assert not tab.execute_script("return window.stream.active")
    button.click()
    wait(tab, shoot.is_displayed)
    tab.find_element("id", "no-photo").click()
    wait(tab, lambda: not shoot.is_displayed())
    assert len(chosen(tab, ".answer")) == 1
    assert not tab.get_log("browser")


def test_a_camera_that_cannot_be_used_is_told(tab):
    wait(tab, tab.find_element("id", "photograph").is_displayed)
    tab.execute_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('refused'))"
    )
    tab.find_element("id", "photograph").click()
    wait(tab, lambda: "The camera cannot be used" in text(tab, "#notice"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_page_docs_and_dialogs(tab, page, violations, width, scheme):
    still = "document.styleSheets[0].insertRule('* { transition: none !important; }', 0)"
    tab.execute_script(still)  # else colours are seen on their way to those of the other scheme
    found = violations(tab, None, width, scheme)
    bring(tab, picture(1), "a cat.jpg")
    bring(tab, b"hello", "b.jpg")
    found += violations(tab, None, width, scheme)
    for opens, dialog in ((".enlarge", "large"), (".wrong", "review")):
        tab.execute_script(f"document.querySelector('.answer:not(.problem) {opens}').click()")
        wait(tab, tab.find_element("id", dialog).is_displayed)
        found += violations(tab, None, width, scheme)
        tab.execute_script(f"document.getElementById('{dialog}').close()")
    tab.get(page.address + "docs")
    wait(tab, lambda: chosen(tab, "#forms .card"))
    assert found + violations(tab, None, width, scheme) == []


def test_answers_are_saved_and_copied_as_the_command_line_writes_them(tab, page, tmp_path):
    for name, content in {"=1+1.jpg": picture(1), 'a,"b".jpg': picture(2), "c": b"no"}.items():
        bring(tab, content, name)
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    tab.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    tab.find_element("id", "save").click()
    saved = tmp_path / "predictions.csv"
    wait(tab, lambda: saved.exists() and saved.stat().st_size)
    allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    granted = {"origin": page.address.rstrip("/"), "permissions": allowed}
    tab.execute_cdp_cmd("Browser.grantPermissions", granted)
    tab.find_element("id", "copy").click()
    wait(tab, lambda: text(tab, "#copy") == "Copied")
    copied = tab.execute_async_script(
        "const done = arguments[0];"
        "navigator.clipboard.readText().then(done, (error) => done(String(error)));"
    )
    table = list(csv.reader(io.StringIO(saved.read_text(encoding="utf-8"))))
    assert list(csv.reader(io.StringIO(copied), delimiter="\t")) == table
    (told,) = page.send(picture(2)).json()["predictions"]
    shares = [f"{share:.6f}" for share in told["probabilities"].values()]
    assert table[0] == ["path", "label", "probability", *told["probabilities"], "problem"]
    assert table[1] == ["c", *[""] * 5, "This file is not a picture."]
    assert table[2] == ['a,"b".jpg', told["label"], f"{told['probability']:.6f}", *shares, ""]
    assert table[3][0] == "'=1+1.jpg"


def test_a_picture_is_enlarged_and_put_away_again(tab):
    bring(tab, picture(1, (300, 100)), "cat.jpg")
    tab.find_element("css selector", ".answer .enlarge").click()
    large = tab.find_element("id", "large-picture")
    wait(tab, large.is_displayed)
    assert large.get_attribute("alt") == "cat.jpg"
    seen, small = large.rect, tab.find_element("css selector", ".answer .picture").rect
    assert seen["width"] / seen["height"] == pytest.approx(3, abs=0.05)
    assert seen["width"] > 2 * small["width"]
    tab.find_element("id", "no-large").click()
    wait(tab, lambda: not large.is_displayed())


def test_a_wrong_answer_is_kept_for_review_with_a_class_or_another_word(tab, page):
    from selenium.webdriver.support.ui import Select

    bring(tab, picture(3), "cat.jpg")
    given = text(tab, ".answer .label span")
    for right in ("newts" if given != "newts" else "dogs", "a frog"):
        tab.find_element("css selector", ".answer .wrong").click()
        options = Select(tab.find_element("id", "right"))
        names = [option.text for option in options.options]
        assert sorted(names) == sorted({"cats", "dogs", "newts", "another word …"} - {given})
        if right in names:
            options.select_by_visible_text(right)
        else:
            options.select_by_visible_text("another word …")
            tab.find_element("id", "keep").click()
            assert text(tab, "#review-problem") == "Say in a word what it is."
            tab.find_element("id", "other").send_keys(right)
        tab.find_element("id", "keep").click()
        said = f"Kept for review: it is {right}."
        wait(tab, lambda said=said: text(tab, ".answer .kept") == said)
        assert not tab.find_element("id", "review").is_displayed()
    with (page.reviews / "reviews.csv").open(newline="", encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    assert [row["right_label"] for row in kept][-1] == "a frog"
    assert {(row["label"], row["name"]) for row in kept} == {(given, "cat.jpg")}
    assert (page.reviews / kept[0]["file"]).read_bytes() == picture(3)


def test_without_a_project_nothing_is_offered_for_review(chromium, network):
    with serving(WatchedModel(str(network))) as server:
        chromium.get(server.address)
        wait(chromium, lambda: text(chromium, "#limits").endswith(" No picture is stored."))
        bring(chromium, picture(1), "cat.jpg")
        assert not chosen(chromium, ".answer .wrong")[0].is_displayed()
