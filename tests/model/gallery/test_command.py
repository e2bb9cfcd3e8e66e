"""`pumice gallery`: a page, a table, the same figures for the same seed, and refusals in a sentence."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from jobs.cli.main import app
from jobs.errors import InputError, PumiceError
from model.gallery.page import figures_table, html
from model.gallery.pictures import class_maps, mosaic, wall
from model.gallery.studio import Exhibit, Picture
from model.gallery.systems import SYSTEMS
from tests.garments import write_fashion_mnist


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fashion_mnist(tmp_path_factory.mktemp("garments"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writing on shaded paper; names that a page must not take for its own text."""
    folder, rng = tmp_path_factory.mktemp("data") / "pairs", np.random.default_rng(0)
    for name in ("a<script>", "b", "c", "held & out"):
        clean = np.full((280, 300), 255, np.uint8)
        for y in range(30, 280, 30):
            cv2.putText(
                clean, "written" + name[0], (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 40, 1, cv2.LINE_AA
            )
        shade = np.linspace(0.6, 1, 300) * (1 + 0.02 * rng.standard_normal(clean.shape))
        for kind, page in (("clean", clean), ("noisy", (clean * shade.clip(0, 1)).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(page).save(folder / kind / f"{name}.png")
    return folder


def run(*words: object) -> None:
    app(["gallery", *map(str, words), "--quick"], standalone_mode=False)


def figures(page: Path) -> list[str]:
    return re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", page.read_text())


def test_all_systems_are_trained_and_shown(tmp_path: Path, data: Path, pairs: Path) -> None:
    table = tmp_path / "README.md"
    table.write_text("before\n<!-- gallery -->\nold\n<!-- /gallery -->\nafter\n")
    out = tmp_path / "out"
    words = ("--data", data, "--pairs", pairs, "--hold-out", "pairs/held*", "--table", table)
    run(*words, "--out", out)
    page = (out / "index.html").read_text()
    assert re.findall(r'<section id="(.*?)">', page) == list(SYSTEMS)
    for source, width, height in re.findall(r'<img src="(.*?)" width="(\d+)" height="(\d+)"', page):
        with Image.open(out / source) as picture:
            assert picture.size == (int(width), int(height))
    assert "<script" not in page and "figures that mean nothing" in page
    text = table.read_text()
    assert text.startswith("before\n<!-- gallery -->\n| system |") and text.endswith(
        "<!-- /gallery -->\nafter\n"
    )
    assert text.count("\n| ") == len(figures(out / "index.html")) + 1
    for name in (*SYSTEMS, "linear", "not-sparse", "denoising-cleaner", "text-cleaner", "variational-elbo"):
        assert (out / name / "weights.safetensors").is_file(), name


def test_the_same_seed_gives_the_same_figures(tmp_path: Path, data: Path) -> None:
    pages = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        run("variational", "--data", data, "--out", tmp_path / name, "--seed", seed)
        pages.append(figures(tmp_path / name / "index.html"))
    assert pages[0] == pages[1] != pages[2]
    weights = [
        (tmp_path / n / "variational" / "weights.safetensors").read_bytes() for n in ("one", "two", "three")
    ]
    assert weights[0] == weights[1] != weights[2]


def test_what_is_trained_is_only_drawn_again(tmp_path: Path, data: Path) -> None:
    run("contractive", "--data", data, "--out", tmp_path)
    weights, page = tmp_path / "contractive" / "checkpoint.pt", figures(tmp_path / "index.html")
    before = weights.stat().st_mtime_ns
    run("contractive", "--data", data, "--out", tmp_path)
    assert weights.stat().st_mtime_ns == before and figures(tmp_path / "index.html") == page
    with pytest.raises(PumiceError, match="other settings: name another --out"):
        run("contractive", "--data", data, "--out", tmp_path, "--seed", 1)


def test_without_pairs_those_that_need_them_are_left_out(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr("model.gallery.exhibits.exhibits", lambda studio, names: asked.append(names) or {})
    run("--data", data, "--out", tmp_path)
    assert "Left out, as there are no --pairs: text, papers." in capsys.readouterr().err
    assert asked == [["traditional", "denoising", "sparse", "contractive", "variational"]]


def test_without_garments_pages_can_still_be_learnt_from(tmp_path: Path, pairs: Path) -> None:
    run("papers", "--data", tmp_path / "nowhere", "--pairs", pairs, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "pictures" / "papers.png").is_file()
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "Paper that never was" in page and "standard deviation" in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nonsense",), "there is no system nonsense: there are traditional, denoising"),
        (("text",), "text learns from pages: name a folder of pairs with --pairs"),
        (("sparse", "--data", "nowhere"), "no Fashion-MNIST in nowhere.*dataset-fashion-mnist"),
        (("text", "--pairs", "nowhere"), "nowhere is no folder"),
        (("text", "--pairs", "PAIRS"), "text needs pairs"),
        (("text", "--pairs", "PAIRS", "--hold-out", "none*"), "matches none of the pairs"),
        (("sparse", "--table", "nowhere.md"), "--table can't be filled in"),
        (("sparse", "--table", "FILE"), "--table can't be filled in: the page needs one block"),
        (("sparse", "--data", "DATA", "--out", "FILE"), "the results can't be written"),
    ],
)
def test_refusals(tmp_path: Path, data: Path, pairs: Path, words: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "file").write_text("no block")
    places = {"PAIRS": pairs, "DATA": data, "FILE": tmp_path / "file"}
    with pytest.raises(InputError, match=sentence):
        run("--out", tmp_path / "out", *(places.get(word, word) for word in words))


def test_texts_from_outside_stay_texts() -> None:
    image = Image.new("RGB", (3, 2))
    bad = '<img src=x onerror="alert(1)">'
    exhibit = Exhibit(bad, bad, [(bad, bad)], [Picture('"><b>', bad, image)])
    page = html({'"><i>': exhibit}, bad)
    assert "<img src=x" not in page and "<b>" not in page and "<i>" not in page
    assert page.count("&lt;img src=x") == 8
    assert figures_table({"x": exhibit}, "made by hand").endswith("\n\nmade by hand")


def test_pictures_show_what_they_are_given() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    assert np.array_equal(np.asarray(mosaic(images, 3))[5:, 4:8, 0], images[4])
    picture = np.asarray(wall([("one", images), ("two", images[:2])], 2))
    doubled = images[0].repeat(2, 0).repeat(2, 1)
    found = [
        (y, x)
        for y in range(picture.shape[0] - 10)
        for x in range(picture.shape[1] - 8)
        if np.array_equal(picture[y : y + 10, x : x + 8, 0], doubled)
    ]
    assert len(found) == 2
    codes = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    labels = np.arange(50).astype(np.uint8) % 10
    maps = [np.asarray(class_maps([("a", codes)], order)) for order in (labels, labels[::-1].copy())]
    assert maps[0].shape == maps[1].shape and not np.array_equal(maps[0], maps[1])
