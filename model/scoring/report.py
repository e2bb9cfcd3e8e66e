"""An evaluation as JSON, for `pumice evaluate --json`."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from model.scoring.evaluate import ImageScore, PageScore, total_of_pages


def as_json(scores: Sequence[PageScore]) -> dict[str, Any]:
    """The scores of all pages and their total, as values that JSON can hold.

    Raises:
        ValueError: there are no scores.
    """
    return {"pages": [_page(score) for score in scores], "total": _page(total_of_pages(scores))}


def _page(score: PageScore) -> dict[str, Any]:
    """The measures of a page, without those that it lacks."""
    before: dict[str, float | None] = {}
    after: dict[str, float | None] = {}
    page: dict[str, Any] = {"name": score.name, "before": before, "after": after}
    if score.pair:
        before |= _measures(score.pair.before)
        after |= _measures(score.pair.after)
    if score.text:
        before["cer"], after["cer"] = score.text.cer_before, score.text.cer_after
        page |= {"characters": score.text.characters, "references": list(score.text.references)}
    return page


def _measures(score: ImageScore) -> dict[str, float | None]:
    """All measures by name; None for the infinite PSNR of a perfect page, which JSON can't hold."""
    measures = {"rmse": score.rmse, "psnr": score.psnr, "ssim": score.ssim}
    if score.bitonal:
        bitonal = asdict(score.bitonal)
        measures |= bitonal | {"bitonal_psnr": bitonal.pop("psnr")}
    return {name: value if math.isfinite(value) else None for name, value in measures.items()}
