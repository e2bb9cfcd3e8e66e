"""Reading before and after cleaning, with a Tesseract of our own that reads what it is told to."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.page import Page
from model.scoring.cases import Case
from model.scoring.reading import TextScore, score_text, total_text

READINGS = {10: "damp cell4r", 20: "damp cellar", 30: "damp  cellar.\n"}
SCAN, CLEANED, TRUTH = (np.full((20, 20), level, np.uint8) for level in READINGS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float | None, str]]:
    """What Tesseract was asked: the page's level, its resolution, the languages."""
    asked = []

    def read(page: Page, dpi: float | None, languages: str) -> str:
        asked.append((int(page[0, 0]), dpi, languages))
        return READINGS[int(page[0, 0])]

    monkeypatch.setattr("model.scoring.reading.read_text", read)
    return asked


def saved(folder: Path, dpi: int | None = None) -> Path:
    Image.fromarray(SCAN).save(folder / "scan.png", **({"dpi": (dpi, dpi)} if dpi else {}))
    return folder / "scan.png"


def test_a_transcription_is_the_reference(tmp_path: Path, calls: list[tuple[int, float | None, str]]) -> None:
    case = Case("scan.png", saved(tmp_path, 300), text=" damp\ncellar ")
    score = score_text(case, SCAN, CLEANED, None, "eng")
    assert score == TextScore("scan.png", pytest.approx(1 / 11), 0, 11, ("transcription",))
    assert calls == [(10, pytest.approx(300, abs=0.1), "eng"), (20, pytest.approx(300, abs=0.1), "eng")]


def test_else_the_clean_page_is_read(tmp_path: Path, calls: list[tuple[int, float | None, str]]) -> None:
    case = Case("scan.png", saved(tmp_path))
    score = score_text(case, SCAN, CLEANED, TRUTH, "fra")
    assert score == TextScore(
        "scan.png", pytest.approx(2 / 12), pytest.approx(1 / 12), 12, ("clean page as read",)
    )
    assert sorted(calls) == [(10, None, "fra"), (20, None, "fra"), (30, None, "fra")]
    with pytest.raises(ValueError, match="neither a truth nor a transcription"):
        score_text(case, SCAN, CLEANED, None, "fra")


def test_the_total_counts_characters() -> None:
    scores = [
        TextScore("long", 0.1, 0.0, 900, ("transcription",)),
        TextScore("short", 0.6, 1.0, 100, ("clean page as read",)),
        TextScore("long, too", 0.1, 0.0, 0, ("transcription",)),
    ]
    assert total_text(scores[:2]) == TextScore(
        "all", pytest.approx(0.15), pytest.approx(0.1), 1000, ("transcription", "clean page as read")
    )
    assert total_text(scores[2:], "empty").cer_before == pytest.approx(0.1)
    with pytest.raises(ValueError, match="no pages"):
        total_text([])
