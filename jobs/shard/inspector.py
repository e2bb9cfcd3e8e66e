"""Judges pages before and after the network: some are not cleaned, others are suspected of lost ink.

The inspector runs on codec threads and looks at pages at 150 dpi. The guard and the measures run on the
network's device.
"""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from jobs.codecs.codec import Page
from jobs.codecs.pixels import as_encoded
from jobs.config import OnSuspicion
from jobs.errors import PageError
from model.guard.guard import Chances, Guard
from model.judging.condition import at_scale, condition
from model.judging.figures import Condition, Fidelity
from model.judging.paper_map import paper_map
from model.judging.text_or_picture import unlike_text
from model.page import Grey, Pixels

_SURE = 0.3  # the chance of lost ink from which strokes come back
_FEATHER = 1.5  # pixels at 150 dpi


@dataclass(frozen=True)
class Scan:
    """A decoded page, and the same page in grey at `dpi`, which is 150 or less."""

    page: Page
    grey: Grey
    dpi: float


@dataclass(frozen=True)
class Verdict:
    """The judgement of a cleaned page; the page is suspected if there are reasons."""

    before: Condition
    after: Condition
    fidelity: Fidelity

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a person should look at the page; may be empty."""
        return self.fidelity.reasons


class Inspector:
    """Judges pages; several threads may use it."""

    def __init__(self, guard: Guard, on_suspicion: OnSuspicion = "flag") -> None:
        """Take a guard, and the option for pages that it suspects."""
        self._guard = guard
        self._on_suspicion = on_suspicion

    def look(self, page: Page) -> Scan:
        """Look at a page before it is cleaned.

        Raises:
            PageError: unlike_training: the network was not trained on such pages.
        """
        grey, dpi = at_scale(page.pixels, page.info.dpi)
        kind = unlike_text(page.pixels, grey, dpi)
        if kind:
            words = kind.replace("_", " ")
            raise PageError("unlike_training", f"Left as it is: it looks like no text ({words}).", (kind,))
        return Scan(page, grey, dpi)

    def judge(self, scan: Scan, cleaned: Pixels) -> tuple[Pixels, Verdict]:
        """Judge a cleaned page.

        Returns:
            The page to write, of the same shape and dtype, and the judgement.

        Raises:
            PageError: suspected: its original must stay.
        """
        after = self._at_scale(scan, cleaned)
        comparison = self._guard.compare(scan.grey, after)
        fidelity = comparison.fidelity
        if fidelity.reasons and self._on_suspicion == "keep-original":
            seen = ", ".join(f"{reason} {getattr(fidelity, reason):.2f}" for reason in fidelity.reasons)
            text = f"Its original stays, since the cleaned page is suspected: {seen}."
            raise PageError("suspected", text, fidelity.reasons)
        if "ink_lost" in fidelity.reasons and self._on_suspicion == "blend":
            cleaned = blended(scan, cleaned, comparison.lost)
            after = self._at_scale(scan, cleaned)
        device = self._guard.device
        before = condition(scan.grey, scan.dpi, device)
        return cleaned, Verdict(before, condition(after, scan.dpi, device), fidelity)

    @staticmethod
    def _at_scale(scan: Scan, cleaned: Pixels) -> Grey:
        info = scan.page.info
        return at_scale(as_encoded(cleaned, info.mode), info.dpi)[0]


def blended(scan: Scan, cleaned: Pixels, lost: Chances) -> Pixels:
    """The cleaned page with the scan's strokes where ink was lost; of the same shape and dtype.

    Args:
        scan: the page before.
        cleaned: the page after, (H, W) or (H, W, 3).
        lost: the chance that ink was lost at each pixel of `scan.grey`, 0..1.
    """
    size = cleaned.shape[1::-1]
    white = float(np.iinfo(cleaned.dtype).max)
    mask = cv2.dilate(np.asarray(lost > _SURE, np.float32), np.ones((5, 5), np.uint8))
    share = cv2.resize(cv2.GaussianBlur(mask, (0, 0), _FEATHER), size)
    paper = cv2.resize(paper_map(scan.grey, scan.dpi), size).astype(np.float32) / 255
    if cleaned.ndim > 2:  # noqa: PLR2004
        share, paper = share[..., None], paper[..., None]
    strokes = np.minimum(scan.page.pixels / np.maximum(paper, 1 / 255), white)
    mixed = cleaned + share * (np.minimum(strokes, cleaned) - cleaned)
    return cast(Pixels, np.rint(mixed).astype(cleaned.dtype))
