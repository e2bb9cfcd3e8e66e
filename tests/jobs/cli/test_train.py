"""`pumice train`: weights with a card that says how they were made, and refusals in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.cli.main import app
from jobs.errors import InputError
from model.network.article import ArticleNetwork
from model.network.weights import fingerprint, load_weights


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("model.training.data.RENDERED_PAGES", 1)
    monkeypatch.setattr("model.training.card.CHECK_PAGES", 1)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        clean = np.where(rng.random((40, 40)) < 0.1, 0, 255).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        for folder, page in (("clean", clean), ("noisy", (clean * 0.7).astype(np.uint8))):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(page).save(tmp_path / "pairs" / folder / f"{name}.png")
    return tmp_path / "pairs"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    arguments = ["train", *map(str, words), "--steps", "1"]
    monkeypatch.setattr("sys.argv", ["pumice", *arguments])
    app(arguments, standalone_mode=False)


def test_the_card_tells_how_weights_were_made_and_from_which(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_out = ("--hold-out", "pairs/tw*")
    run(monkeypatch, "--pairs", pairs, *hold_out, "--out", tmp_path / "a")
    first = tmp_path / "a" / "weights.safetensors"
    card = json.loads(first.with_suffix(".json").read_text())
    assert card["sha256"] == fingerprint(first) and card["init"] is None
    assert "pairs/tw*" in card["command"] and str(tmp_path) not in json.dumps(card)
    assert card["scores"]["pairs held out by pairs/tw*"]["rmse_before"] > 0.1
    run(monkeypatch, "--pairs", pairs, *hold_out, "--init", first, "--out", tmp_path / "b")
    second = json.loads((tmp_path / "b" / "weights.json").read_text())
    assert second["init"] == card and second["learning_rate"] < card["learning_rate"]
    given = ("--learning-rate", "0.0002", "--out", tmp_path / "c")
    run(monkeypatch, "--pairs", pairs, *hold_out, "--init", first, *given)
    assert json.loads((tmp_path / "c" / "weights.json").read_text())["learning_rate"] == 0.0002


def test_the_articles_network_is_trained_the_same_way(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, "--pairs", pairs, "--network", "article", "--out", tmp_path / "out")
    assert isinstance(load_weights(tmp_path / "out" / "weights.safetensors"), ArticleNetwork)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--hold-out", "*"), "holds out all pairs"),
        (("--hold-out", "none/*"), "matches none of the pairs"),
        (("--init", "nowhere.safetensors"), "can't read weights nowhere.safetensors"),
        (("--clean", "nowhere"), "nowhere holds no images and no PDFs"),
        (("--pairs", "nowhere"), "nowhere is no folder"),
    ],
)
def test_refusals(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence.replace("*", ".")):
        run(monkeypatch, "--pairs", pairs, *words, "--out", tmp_path / "out")
