"""Scores of a cleaned page, for each section, and Tesseract's reading with its confidence."""

import csv
import io
import os
import subprocess
from dataclasses import asdict

import cv2
import numpy as np

from model.judging.ssim import ssim
from model.page import Page, as_grey
from model.scoring.evaluate import compare_clean
from model.scoring.measures import rmse, score_bitonal
from model.scoring.tesseract import OcrFault, OcrMissing, character_error_rate, normalised, read_text
from scripts.quality.case import Case

PAPER = 250
"""Where the truth is at least this light, of 255, it is paper."""


def paper_rmse(result: Page, truth: Page) -> float:
    """Root mean square error over the pixels that are paper in the truth, 0..1; 0 where there is none.

    How ink should look is a matter of taste; how paper should look is not.
    """
    paper = as_grey(truth) >= PAPER
    if not paper.any():
        return 0.0
    error = (as_grey(result)[paper].astype(np.float32) - as_grey(truth)[paper]) / 255
    return float(np.sqrt(np.mean(np.square(error), dtype=np.float64)))


def score_pair(case: Case, result: Page) -> dict[str, float]:
    """Error over all pixels, similarity, and the CER against the reading of the clean page."""
    scores = {"rmse": rmse(result, case.clean), "ssim": ssim(result, case.clean)}
    if case.text is not None:
        scores |= _errors("cer", read_text(result, case.dpi, case.languages), case.text)
    return scores


def score_ink(case: Case, result: Page) -> dict[str, float]:
    """DIBCO's measures of the result, cut at half grey."""
    return asdict(score_bitonal(result, case.clean))


def score_page(case: Case, result: Page) -> dict[str, float]:
    """How white the paper is, and the CER against the known text."""
    assert case.text is not None
    read = read_text(result, case.dpi, case.languages)
    return {"paper_rmse": paper_rmse(result, case.clean), **_errors("cer", read, case.text)}


def score_reading(case: Case, result: Page) -> dict[str, float]:
    """Tesseract's confidence, and the CER against a transcription or its own reading of the scan."""
    assert case.text is not None
    read, confidence = read_words(result, case.dpi, case.languages)
    key = "drift" if case.own_reading else "cer"
    return {**_errors(key, read, case.text), "confidence": confidence}


def _errors(key: str, read: str, text: str) -> dict[str, float]:
    """A character error rate, and the number of characters by which a page counts in a mean."""
    return {key: character_error_rate(read, text), "characters": max(1, len(normalised(text)))}


def score_untouched(case: Case, result: Page) -> dict[str, float]:
    """How much a page changed that needed no cleaning."""
    same = result if result.ndim == case.page.ndim else as_grey(result)
    before = case.page if same.ndim == case.page.ndim else as_grey(case.page)
    score = compare_clean(before, same)
    return {"change": score.mean_change, "strokes": score.strokes, "lost": score.strokes_lost}


def read_words(page: Page, dpi: float | None, languages: str) -> tuple[str, float]:
    """The words that Tesseract reads, and its mean confidence, 0..100.

    Raises:
        OcrMissing: there is no Tesseract.
        OcrFault: it refused or died.
    """
    _, png = cv2.imencode(".png", as_grey(page))
    resolution = ["--dpi", str(round(dpi))] if dpi else []
    words = ["tesseract", "stdin", "stdout", "-l", languages, *resolution, "tsv"]
    try:
        run = subprocess.run(
            words, input=png.tobytes(), capture_output=True, check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )  # fmt: skip
    except OSError as error:
        raise OcrMissing("Tesseract is not installed: apt install tesseract-ocr") from error
    if run.returncode:
        said = run.stderr.decode("utf-8", "replace").strip()
        raise OcrFault(f"Tesseract failed with exit code {run.returncode}; it said: {said}")
    return parse_words(run.stdout.decode("utf-8", "replace"))


def parse_words(table: str) -> tuple[str, float]:
    """The words of Tesseract's TSV and their mean confidence; 0 if there are none."""
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    words = [(row["text"], float(row["conf"])) for row in rows if row["level"] == "5" and row["text"].strip()]
    return " ".join(word for word, _ in words), sum(sure for _, sure in words) / max(1, len(words))
