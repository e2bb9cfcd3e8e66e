"""The reviewers' page in Chromium, opened from the disk and worked with by keys, as a reviewer does."""

import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from jobs import api
from jobs.review import page as html_report
from jobs.review.decisions import read_decisions
from jobs.review.sampling import upper_bound
from tests.html_samples import StandIn, cleaned_place, page, synthetic_rows
from tests.samples import Item, archive

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium isn't there: apt-get install chromium")

HOSTILE = [
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(1)</script>.png",
    "javascript:alert(1).png",
    "=cmd|' /C calc'!A0.png",
    "'quoted\".png",
    "\u202egnp.exe.png",
    "caf\udce9.png",  # bytes that are no UTF-8
]
FLAGGED = {name: ["ink_lost", "<b onmouseover=alert(1)>dark</b>"] for name in (*HOSTILE[:5], "caf\\xe9.png")}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of twelve pages with names that want to be more than names; six are flagged, three drawn."""
    folder = tmp_path_factory.mktemp("page")
    items = [Item(name, page(100 + 5 * index)) for index, name in enumerate(HOSTILE)]
    plain = [Item(f"{index}.png", page(90 + index)) for index in range(5)]
    files = {"a<b>.tar": archive("tar", items), "plain.zip": archive("zip", plain)}
    _, to = cleaned_place(folder, files, FLAGGED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_report, "Guard", StandIn)
        return api.write_html(to.url, folder / "review", None, 3, lambda done, of: None).index


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 100,000 rows."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_report, "rows", lambda to, columns, unread: (
            batch.select(columns) for batch in synthetic_rows(100_000, 1200)
        ))  # fmt: skip
        patch.setattr(html_report.Places, "find", lambda self, wanted: iter(()))
        patch.setattr(html_report, "Guard", StandIn)
        return api.write_html(str(folder / "none"), folder / "review", None, 200, lambda done, of: None).index


class Desk:
    """A browser's window with the page open, and everything that went wrong in it."""

    def __init__(self, browser: Browser, index: Path, scheme: str = "light") -> None:
        self.context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("request", lambda request: self._asked(request.url, index))
        self.open(index)

    def _asked(self, url: str, index: Path) -> None:
        if not url.startswith((index.parent.as_uri(), "data:", "blob:")):
            self.wrong.append(f"asked for {url}")

    def open(self, index: Path) -> None:
        self.page.goto(index.as_uri())
        self.page.locator("body[data-ready]").wait_for()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def saved(self, key: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.press(key)
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def marks(self) -> list[str]:
        """The decisions in the list, from its top."""
        return self.page.locator("#rows [role=option]:not([hidden])").evaluate_all(
            "all => all.sort((a, b) => a.dataset.at - b.dataset.at).map(one => one.dataset.decision)"
        )


@pytest.fixture
def desk(browser: Browser, review: Path) -> Iterator[Desk]:
    """The page, of which nothing may go wrong."""
    desk = Desk(browser, review)
    yield desk
    desk.context.close()
    assert desk.wrong == []


def test_pages_are_decided_by_keys_and_a_closed_page_forgets_nothing(desk: Desk, review: Path) -> None:
    assert desk.text("#decided-text").startswith("0 of 9 decided:") and desk.text("#count") == "12 pages"
    first = desk.text("#member")
    desk.press("j", "j", "k", "k")
    assert desk.text("#member") == first
    desk.press("a", "r", "j", "a")
    assert desk.marks()[:5] == ["accept", "reject", "", "accept", ""]
    desk.press("k", "u")
    assert desk.marks()[:5] == ["accept", "reject", "", "", ""]
    desk.press("k", "k", "n")
    desk.page.keyboard.type("strokes of j and a are gone")
    desk.press("Enter")
    assert desk.text("#decided-text").startswith("2 of 9 decided:")
    desk.open(review)
    assert desk.marks()[:5] == ["accept", "reject", "", "", ""]
    desk.press("j")
    assert desk.page.locator("#note").input_value() == "strokes of j and a are gone"
    assert desk.page.locator("#reject").get_attribute("aria-pressed") == "true"


def test_a_key_decides_about_the_list_that_the_key_before_it_made(desk: Desk) -> None:
    hasty = """keys => {
      const press = (key) => document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      for (const key of keys) press(key);
    }"""
    desk.page.evaluate("pumice.narrow({ measure: 'dirt_after' })")
    desk.page.evaluate(hasty, ["x", "Home", "r"])
    assert desk.text("#count") == "12 pages" and desk.marks()[:2] == ["reject", ""]
    name = desk.page.locator("[role=option] .name").nth(3).inner_text()
    desk.press("/")
    desk.page.evaluate(
        "([keys, text, hasty]) => { pumice.find('search').value = text; eval(hasty)(keys); }",
        [["Enter", "a"], name, hasty],
    )
    assert desk.text("#count") == "1 of 12 pages" and desk.marks() == ["accept"]
    assert desk.text("#member") == name


def test_decisions_go_out_and_come_back_in(
    desk: Desk, browser: Browser, review: Path, tmp_path: Path
) -> None:
    desk.press("a", "r", "n")
    desk.page.keyboard.type("=1+1")
    desk.press("Escape", "a", "a", "a", "a", "a")
    exported = json.loads(desk.saved("e", tmp_path).read_text("utf-8"))
    assert exported["pumice_decisions"] == 1 and exported["destination"].endswith("cleaned")
    assert exported["sample"] == {"size": 3, "population": 6}
    decisions = exported["decisions"]
    assert [one["decision"] for one in decisions] == ["accept", "reject", *["accept"] * 5]
    assert [one["sampled"] for one in decisions] == [False] * 6 + [True]
    assert {one["member"] for one in decisions[:6]} == set(FLAGGED)
    assert all(len(one["output_sha256"]) == 64 and one["page_index"] == 0 for one in decisions)
    assert {one["shard"] for one in decisions[:6]} == {"a<b>.tar"} and decisions[2]["note"] == "=1+1"
    with desk.saved("E", tmp_path).open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert not [value for row in cells for value in row.values() if value.startswith(("=", "+", "-", "@"))]
    by_json, by_csv = (read_decisions(tmp_path / f"decisions.{kind}") for kind in ("json", "csv"))
    assert by_json.decisions == by_csv.decisions and len(by_csv.decisions) == 7
    assert {one.member for one in by_json.decisions[:6]} == set(FLAGGED)
    other = Desk(browser, review)
    other.page.locator("#file").set_input_files(tmp_path / "decisions.json")
    expect(other.page.locator("#said")).to_have_text("7 decisions taken over.")
    assert json.loads(other.saved("e", tmp_path).read_text("utf-8"))["decisions"] == decisions
    assert other.wrong == []
    other.context.close()


def test_another_file_is_refused_in_a_sentence(desk: Desk, tmp_path: Path) -> None:
    for text in (
        "no JSON",
        "[]",
        '{"pumice_decisions": 2}',
        '{"pumice_decisions": 1, "decisions": [null, 7]}',
    ):
        (tmp_path / "other.json").write_text(text)
        desk.page.evaluate("pumice.say('')")
        desk.page.locator("#file").set_input_files(tmp_path / "other.json")
        expect(desk.page.locator("#said")).to_have_text(
            re.compile("holds no decisions|^0 decisions taken over")
        )
    assert desk.text("#decided-text").startswith("0 of 9 decided:")


def test_names_are_shown_and_nothing_of_them_happens(desk: Desk) -> None:
    shown = []
    for _ in range(12):
        shown.append(desk.text("#member"))
        desk.press("j")
    expected = {name.replace("\u202e", "\\u202e").replace("\udce9", "\\xe9") for name in HOSTILE}
    assert expected <= set(shown)
    desk.press("Home", "c")
    desk.page.locator("#chart-shards .bar").first.wait_for()
    assert desk.page.locator("b, img:not(.pane img):not([role=option] img)").count() == 0
    assert desk.page.locator("script:not([src])").count() == 0


def test_before_and_after_move_in_step(desk: Desk) -> None:
    def styles() -> list[str]:
        return desk.page.locator(".pane > img:first-child").evaluate_all(
            "all => all.map(i => i.style.transform)"
        )

    fitting = styles()
    desk.press("+", "+", "+", "Shift+ArrowRight")
    zoomed = styles()
    assert zoomed[0] == zoomed[1] != fitting[0]
    desk.page.mouse.move(800, 400)
    desk.page.mouse.wheel(0, -200)
    assert styles()[0] == styles()[1] != zoomed[0]
    desk.press("0")
    assert styles() == fitting
    handle = desk.page.locator("#handle")
    desk.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert handle.get_attribute("aria-valuenow") == "44"
    box = handle.bounding_box()
    assert box
    desk.page.mouse.move(box["x"] + 14, box["y"] + 20)
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + 14 + 200, box["y"] + 20)
    desk.page.mouse.up()
    assert int(handle.get_attribute("aria-valuenow") or 0) > 55
    for key, view in (("2", "side"), ("3", "blink"), ("1", "slider")):
        desk.press(key)
        assert desk.page.locator("#stage").get_attribute("data-view") == view


def test_marks_are_shown_hidden_and_gone_to(desk: Desk) -> None:
    marks = desk.page.locator("#after .marks")
    assert marks.is_visible() and desk.page.locator("#do-mark").is_enabled()
    desk.press("m")
    assert not marks.is_visible()
    desk.press(".")
    assert marks.is_visible() and desk.text("#said") == "Mark 1 of 1: lost."
    assert desk.page.evaluate("document.querySelector('#after .marks').naturalWidth") == 60


def test_filters(desk: Desk) -> None:
    def count() -> str:
        desk.page.wait_for_timeout(200)  # filters wait for the typing to end
        return desk.text("#count")

    desk.press("/")
    desk.page.keyboard.type("plain.zip/3")
    assert count() == "1 of 12 pages" and desk.text("#member") == "3.png"
    desk.press("Escape", "x")
    assert count() == "12 pages"
    for field, value, expected in (
        ("#kind", "flagged", 6), ("#kind", "review", 9), ("#kind", "sample", 3), ("#kind", "uncleaned", 0),
        ("#reason", "ink_lost", 6), ("#decision", "1", 0), ("#decision", "0", 12),
    ):  # fmt: skip
        desk.page.locator(field).select_option(value)
        assert count() == f"{expected} of 12 pages" if expected != 12 else "12 pages"
        desk.page.locator("#clear").click()
    desk.page.locator("#shard").fill("plain.zip")
    assert count() == "5 of 12 pages"
    desk.page.locator("#clear").click()
    desk.page.locator("#measure").select_option("ink_lost")
    desk.page.locator("#low").fill("0.5")
    assert count() == "6 of 12 pages"
    desk.page.locator("#high").fill("0.6")
    assert count() == "0 of 12 pages"


def test_a_bar_of_a_chart_filters(desk: Desk) -> None:
    desk.press("c")
    desk.page.locator("#chart-shards .bar").first.click()
    expect(desk.page.locator("#shard")).to_have_value("a<b>.tar")
    assert desk.page.locator("#chart-reasons .bar").count() == 2
    assert desk.text("#count") == "7 of 12 pages"


def test_a_bar_of_the_histogram_filters_by_its_measure(desk: Desk) -> None:
    desk.press("c")
    desk.page.locator("#measure").select_option("ink_lost")
    # The list and its charts follow a moment later, as they do where somebody types.
    expect(desk.page.locator("#chart-measure")).to_have_attribute("aria-label", "Pages by ink lost")
    highest = desk.page.locator("#chart-measure .bin").last
    highest.click()
    assert desk.page.locator("#measure").input_value() == "ink_lost"
    low, high = (float(desk.page.locator(end).input_value()) for end in ("#low", "#high"))
    told = highest.get_attribute("title") or ""
    assert 0 < low < high and told.startswith(f"{low:g} to {high:g}\nink lost: ")
    expect(desk.page.locator("#count")).to_have_text(f"{told.split()[-2]} of 12 pages")


def test_the_bound_that_decisions_imply(desk: Desk) -> None:
    desk.page.locator("#kind").select_option("sample")
    expect(desk.page.locator("#count")).to_have_text("3 of 12 pages")
    desk.page.locator("#list").focus()
    desk.press("a", "a", "a")
    assert "3 of 3 decided, 0 rejected: at most 63.2% of 6 unflagged pages" in desk.text("#bound")
    for faulty, count in ((0, 59), (0, 200), (1, 200), (5, 90), (900, 2000), (199, 200), (7, 7)):
        found = desk.page.evaluate(f"pumice.upperBound({faulty}, {count})")
        assert found == pytest.approx(upper_bound(count, faulty), abs=1e-9)


ENABLED = """[...document.querySelectorAll('button, input, select')]
  .filter((one) => one.offsetParent && !one.disabled && one.id).map((one) => one.id)"""


def test_everything_is_reached_without_a_mouse(desk: Desk) -> None:
    assert desk.page.evaluate("document.activeElement.id") == "list"
    seen = set()
    for _ in range(60):
        desk.press("Tab")
        seen.add(desk.page.evaluate("document.activeElement.id || document.activeElement.dataset.view"))
    wanted = desk.page.evaluate(ENABLED)
    assert len(wanted) > 20 and set(wanted) <= seen
    desk.page.locator("#list").focus()
    desk.press("?")
    assert desk.page.locator("#keys").is_visible() and "accept, and on to the next" in desk.text("#keys")
    assert desk.page.evaluate("document.activeElement.textContent") == "Close"
    desk.press("Escape", "j")
    assert desk.page.locator("[aria-selected=true]").get_attribute("aria-posinset") == "2"


CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const light = (colour) => { const [r, g, b] = parts(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  const faint = [];
  const texts = 'button, dt, dd, p, h1, h2, th, td, label, option, .name, .shard, .badges span';
  for (const e of document.querySelectorAll(texts)) {
    if (!e.offsetParent || !e.textContent.trim() || e.disabled || e.closest('#stage')) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${e.tagName} ${e.id} ${e.className} ${ratio}`);
  }
  return faint;
}"""


def test_light_and_dark_are_readable(browser: Browser, review: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        desk = Desk(browser, review, scheme)
        desk.press("a", "r", "k")
        assert desk.page.evaluate(CONTRAST) == []
        grounds.append(desk.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        desk.context.close()
        assert desk.wrong == []
    assert grounds[0] != grounds[1]


def test_a_hundred_thousand_rows(browser: Browser, large: Path) -> None:
    begun = time.monotonic()
    desk = Desk(browser, large)
    assert time.monotonic() - begun < 8, "2 s on an idle machine"
    assert desk.text("#count") == "100,000 pages"
    assert desk.page.locator("#rows [role=option]").count() < 60
    timed = """(field, value) => {
      const begun = performance.now();
      pumice.narrow({ [field]: value });
      return performance.now() - begun;
    }"""
    for field, value, expected in (
        ("search", "page-0420", "100"), ("shard", "box-017.tar", "500"), ("kind", "flagged", "1,200"),
        ("measure", "dirt_after", "100,000"),
    ):  # fmt: skip
        took = desk.page.evaluate(f"({timed})('{field}', '{value}')")
        assert took < 1500 and desk.text("#count").split()[0] == expected
        desk.press("x")
        assert desk.text("#count") == "100,000 pages"
    desk.press("End")
    assert desk.page.locator("[aria-selected=true]").get_attribute("aria-posinset") == "100000"
    desk.press("Home", "r", "a")
    assert desk.marks()[:3] == ["reject", "accept", ""]
    desk.open(large)
    assert desk.marks()[:3] == ["reject", "accept", ""] and desk.wrong == []
    desk.context.close()


def test_what_is_missing_is_said(browser: Browser, review: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(review.parent, tmp_path / "copy")
    report = copy / "data" / "report.js"
    report.write_text(
        report.read_text().replace('"remarks":[]', '"remarks":["b.tar: its report is missing"]')
    )
    (copy / "data" / "rows-0.js").unlink()
    desk = Desk(browser, copy / "index.html")
    assert desk.text("#remarks summary") == "Not everything is here: one remark"
    assert "data/rows-0.js is missing: make the page again" in desk.text("#said")
    desk.context.close()
