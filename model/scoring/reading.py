"""How well Tesseract reads scans, before and after cleaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.page import Page
from model.scoring.cases import Case
from model.scoring.tesseract import character_error_rate, normalised, read_text

Reference = Literal["transcription", "clean page as read"]
"""What a reading is compared with: a transcription, or what Tesseract reads on the truth's image."""


@dataclass(frozen=True)
class TextScore:
    """How well one page is read, before and after cleaning.

    Attributes:
        name: of the page.
        cer_before: character error rate before cleaning; 0 is perfect.
        cer_after: character error rate after cleaning.
        characters: number of characters of the reference after normalisation.
        references: what the readings were compared with; totals may have several.
    """

    name: str
    cer_before: float
    cer_after: float
    characters: int
    references: tuple[Reference, ...]


def score_text(case: Case, scan: Page, cleaned: Page, truth: Page | None, languages: str) -> TextScore:
    """Read a page before and after cleaning, and compare both readings with its text.

    Raises:
        OcrFault: Tesseract doesn't run.
        ValueError: the case has neither a text nor a truth.
    """
    dpi = case.dpi()
    reference: Reference = "transcription"
    text = case.text
    if text is None:
        if truth is None:
            raise ValueError(f"{case.name} has neither a truth nor a transcription")
        reference, text = "clean page as read", read_text(truth, dpi, languages)
    before, after = (character_error_rate(read_text(page, dpi, languages), text) for page in (scan, cleaned))
    return TextScore(case.name, before, after, len(normalised(text)), (reference,))


def total_text(scores: Sequence[TextScore], name: str = "all") -> TextScore:
    """The rates over all pages; a page counts by the number of its characters.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError(f"no pages to take the mean of in {name!r}")
    weights = [max(1, score.characters) for score in scores]
    before = float(np.average([score.cer_before for score in scores], weights=weights))
    after = float(np.average([score.cer_after for score in scores], weights=weights))
    references = dict.fromkeys(reference for score in scores for reference in score.references)
    return TextScore(name, before, after, sum(score.characters for score in scores), tuple(references))
