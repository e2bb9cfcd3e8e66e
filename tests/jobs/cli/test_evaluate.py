"""`pumice evaluate`: what it prints and writes, and what it refuses in one sentence that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from jobs.cli.main import app
from jobs.errors import InputError
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.ends import bias_of
from model.network.weights import fingerprint, save_weights
from model.page import Page


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that makes every page brighter by a tenth of white."""
    torch.set_num_threads(1)
    model = Autoencoder(AutoencoderConfig(widths=(8, 8), blocks=(1, 1)))
    with torch.no_grad():
        for ends in (model.ends_for(cell) for cell in model.config.cells):
            bias_of(ends.correction).fill_(0.1)
    path = tmp_path_factory.mktemp("weights") / "brighter.safetensors"
    save_weights(model, path)
    return path


@pytest.fixture
def pumice(weights: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command in this process; what it printed, or its InputError."""

    def run(*words: object) -> str:
        chosen = [] if "--model" in words else ["--model", weights]
        app(["evaluate", *map(str, [*words, *chosen])], standalone_mode=False)
        return capsys.readouterr().out

    return run


def picture(path: Path, level: int = 255, ink: int = 0, size: tuple[int, int] = (32, 40)) -> Path:
    """A page with a bar of ink on paper of a level."""
    page = np.full(size, level, np.uint8)
    page[8:12, 4:36] = ink
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page).save(path)
    return path


def pairs(folder: Path) -> Path:
    """A grey truth 30 levels above its scan, and a 1-bit one."""
    picture(folder / "noisy" / "grey.png", 200, 60)
    picture(folder / "clean" / "grey.png", 230, 90)
    picture(folder / "noisy" / "ink.png", 240, 100)
    picture(folder / "clean" / "ink.png", 255, 0)
    return folder


def test_images_are_scored_printed_and_written(
    tmp_path: Path, pumice: Callable[..., str], weights: Path
) -> None:
    told = pumice(
        pairs(tmp_path), "--json", tmp_path / "scores.json", "--sheet", tmp_path / "sheet.png"
    ).splitlines()
    assert any("Against the truth" in line for line in told)
    assert not any("Tesseract" in line for line in told)
    assert [sum(f" {name} " in line for line in told) for name in ("grey.png", "ink.png", "all")] == [1, 2, 2]
    report = json.loads((tmp_path / "scores.json").read_text())
    assert report["weights"] == fingerprint(weights)
    grey, ink = report["pages"]
    assert (grey["name"], ink["name"], report["total"]["name"]) == ("grey.png", "ink.png", "all")
    assert grey["before"]["rmse"] == pytest.approx(30 / 255)
    assert 3 / 255 < grey["after"]["rmse"] < 6 / 255 and 32 < grey["after"]["psnr"] < 39
    assert set(grey["before"]) == {"rmse", "psnr", "ssim"}
    assert ink["before"] | {"rmse": 0, "psnr": 0, "ssim": 0} == {
        "rmse": 0, "psnr": 0, "ssim": 0, "f_measure": 100, "pseudo_f": 100, "bitonal_psnr": None, "drd": 0
    }  # fmt: skip
    mean = (grey["after"]["rmse"] + ink["after"]["rmse"]) / 2
    assert report["total"]["after"]["rmse"] == pytest.approx(mean)
    assert report["total"]["before"]["f_measure"] == 100
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 492 + 12, 20 + 2 * 272 + 12)


@pytest.fixture
def tesseract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads less the darker the paper is."""

    def read(page: Page, dpi: float | None, languages: str) -> str:
        assert languages == "fra"
        return "pumice"[: int(page.max()) // 42]

    monkeypatch.setattr("model.scoring.reading.read_text", read)
    monkeypatch.setattr("model.scoring.tesseract.require_languages", lambda languages: None)


def scored_text(page: dict[str, Any]) -> tuple[float, float, int, list[str]]:
    return page["before"]["cer"], page["after"]["cer"], page["characters"], page["references"]


@pytest.mark.usefixtures("tesseract")
def test_text_is_scored_against_transcriptions_or_the_clean_page(
    tmp_path: Path, pumice: Callable[..., str]
) -> None:
    folder = pairs(tmp_path)
    (folder / "clean" / "grey.txt").write_text("pumice")
    told = pumice(folder, "--ocr", "--languages", "fra", "--json", tmp_path / "scores.json")
    assert "Read by Tesseract" in told and "33.33% → 16.67%" in told
    assert "clean page as read" in told and "transcription" in told
    report = json.loads((tmp_path / "scores.json").read_text())
    grey, ink = report["pages"]
    assert scored_text(grey) == (pytest.approx(2 / 6), pytest.approx(1 / 6), 6, ["transcription"])
    assert scored_text(ink) == (pytest.approx(1 / 6), 0, 6, ["clean page as read"])
    assert scored_text(report["total"]) == (
        pytest.approx(3 / 12), pytest.approx(1 / 12), 12, ["transcription", "clean page as read"]
    )  # fmt: skip


@pytest.mark.usefixtures("tesseract")
def test_scans_with_transcriptions_alone_are_scored_by_text_alone(
    tmp_path: Path, pumice: Callable[..., str]
) -> None:
    picture(tmp_path / "box [red]" / "page.png", 200, 60)
    (tmp_path / "box [red]" / "page.xml").write_text(
        "<alto><TextLine><String CONTENT='pumice'/></TextLine></alto>"
    )
    told = pumice(tmp_path, "--ocr", "--languages", "fra", "--json", tmp_path / "scores.json")
    assert "Against the truth" not in told and "box [red]/page.png" in told
    (page,) = json.loads((tmp_path / "scores.json").read_text())["pages"]
    assert set(page["before"]) == {"cer"}
    assert scored_text(page) == (pytest.approx(2 / 6), pytest.approx(1 / 6), 6, ["transcription"])


def refused(run: Callable[..., str], *words: object) -> str:
    with pytest.raises(InputError) as caught:
        run(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_pairs_are_named(tmp_path: Path, pumice: Callable[..., str]) -> None:
    assert "nowhere" in refused(pumice, tmp_path / "nowhere")
    assert str(tmp_path) in refused(pumice, tmp_path)
    folder = pairs(tmp_path / "pairs")
    picture(folder / "clean" / "grey.png", size=(32, 41))
    assert "clean/grey.png differ in size: 40x32 and 41x32" in refused(pumice, folder)
    (folder / "clean" / "grey.png").unlink()
    assert "noisy/grey.png has no partner" in refused(pumice, folder)
    (folder / "noisy" / "grey.png").unlink()
    (folder / "noisy" / "ink.png").unlink()
    assert "noisy holds no images" in refused(pumice, folder)
    picture(tmp_path / "scans" / "page.png")
    assert "page.png has neither a truth nor a transcription" in refused(pumice, tmp_path / "scans", "--ocr")
    assert "--ocr" in refused(pumice, tmp_path / "scans")


def test_bad_weights_are_named(tmp_path: Path, pumice: Callable[..., str]) -> None:
    folder = pairs(tmp_path / "pairs")
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, other, {"architecture": "of-another-recipe"})
    assert "of-another-recipe" in refused(pumice, folder, "--model", other)
    other.write_bytes(b"no weights")
    for path in (other, tmp_path / "missing.safetensors"):
        assert str(path) in refused(pumice, folder, "--model", path)


def test_what_cant_be_done_is_refused_before_the_work(
    tmp_path: Path, pumice: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pairs(tmp_path / "pairs")
    assert "nowhere" in refused(pumice, folder, "--json", tmp_path / "nowhere" / "scores.json")
    assert "sheet.png" in refused(pumice, folder, "--sheet", tmp_path / "sheet.jpg")
    assert "can't be written" in refused(pumice, folder, "--json", folder)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt install tesseract-ocr" in refused(pumice, folder, "--ocr")
