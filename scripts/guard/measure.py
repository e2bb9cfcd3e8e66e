"""How many planted faults the guard finds and how many honest pages it flags: a table and curves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import track

from model.cleaning.cleaner import load_cleaner
from model.guard.guard import Guard
from model.judging.figures import ADDED, LOST, Fidelity
from model.shipped import CLEANER
from model.training.faults import FAULTS, plant
from scripts.blocks import ROOT, Curve, draw_curves, machine, table, write_block
from scripts.guard.kinds import left_alone
from scripts.guard.pages import Cleaned, unseen_pages

PLANTED = 2
"""How many faults of each kind are planted in a page."""

LARGE, SMALL = ("word", "rule", "thinned"), ("letter", "dot")
IN_VAIN = 0.02
_DPI_UNKNOWN = 100.0  # NoisyOffice and DIBCO don't say; their letters are as large as at about 100 dpi


@dataclass
class Scores:
    """The scores of a page, and those of the same page with faults planted, by kind."""

    name: str
    group: str
    honest: bool
    ink_lost: float
    ink_added: float
    planted: dict[str, list[float]] = field(default_factory=dict)


def choose(data: Path, held: Sequence[str], keep: Path | None) -> None:
    """Print what the guard finds on pages to choose thresholds by, and the thresholds that follow."""
    scores, _ = _scores(data, held, keep, measured=False)
    print(_table(scores))
    print("thresholds that flag few enough in vain (lost, added):", _thresholds(scores))


def measure(data: Path, held: Sequence[str], keep: Path | None) -> None:
    """Measure on other pages; print and write the table and the picture."""
    scores, kinds = _scores(data, held, keep, measured=True)
    about = (
        f"Measured on {len(scores)} pages that the guard didn't learn from and that its thresholds, {LOST} "
        f"(lost) and {ADDED} (added), were not chosen by; up to {PLANTED} faults of a kind a page; "
        f"{machine()}; `scripts/run guard measure --data DIR`."
    )
    left = table(["no text, and so left alone", "pages", "left alone"], kinds)
    text = f"{_table(scores)}\n\n{about}\n\n![found and in vain](guard.svg)\n\n{left}"
    print(text)
    write_block(ROOT / "model" / "README.md", "guard", text)
    _draw(scores)


def _scores(
    data: Path, held: Sequence[str], keep: Path | None, *, measured: bool
) -> tuple[list[Scores], list[list[str]]]:
    """Scores of all pages, measured or read from `keep`; and rows of what is left alone as no text."""
    if keep is None or not keep.exists():
        guard = Guard()
        pages = list(track(unseen_pages(data, held, load_cleaner(CLEANER), measured=measured), "cleaning"))
        found = [asdict(_score(guard, page, index)) for index, page in enumerate(track(pages, "planting"))]
        kept = {"scores": found, "kinds": left_alone(pages)}
        if keep is not None:
            keep.write_text(json.dumps(kept))
    else:
        kept = json.loads(keep.read_text())
    return [Scores(**one) for one in kept["scores"]], kept["kinds"]


def _score(guard: Guard, page: Cleaned, index: int) -> Scores:
    scan, rng = page.at_scale(page.scan), np.random.default_rng((41, index))

    def fidelity(result: np.ndarray) -> Fidelity:
        return guard.compare(scan, page.at_scale(result)).fidelity

    plain = fidelity(page.result)
    scores = Scores(page.name, page.group, page.honest, plain.ink_lost, plain.ink_added)
    for kind in FAULTS:
        for _ in range(PLANTED):
            spoilt = plant(rng, page.result, page.ink, page.dpi or _DPI_UNKNOWN, kind)
            if spoilt:
                found = fidelity(spoilt[0])
                score = found.ink_added if kind == "added" else found.ink_lost
                scores.planted.setdefault(kind, []).append(score)
    return scores


def _thresholds(scores: Sequence[Scores]) -> tuple[float, float]:
    """Thresholds (lost, added) that flag the share IN_VAIN of the honest pages, both together."""
    honest = [one for one in scores if one.honest]
    return tuple(  # type: ignore[return-value]
        float(np.quantile([getattr(one, name) for one in honest], 1 - IN_VAIN / 2))
        for name in ("ink_lost", "ink_added")
    )


def _table(scores: Sequence[Scores]) -> str:
    rows = []
    for kind in FAULTS:
        threshold = ADDED if kind == "added" else LOST
        found = [score >= threshold for one in scores for score in one.planted.get(kind, [])]
        rows.append([f"{kind}, planted", str(len(found)), f"{100 * np.mean(found):.1f}%"])
    for group in sorted({one.group for one in scores}):
        for honest in (True, False):
            pages = [one for one in scores if one.group == group and one.honest is honest]
            flagged = [_flagged(one) for one in pages]
            if flagged:
                words = "cleaned honestly" if honest else "ink lost, added or dirt left by the truth"
                rows.append([f"{group}, {words}", str(len(flagged)), f"{100 * np.mean(flagged):.1f}%"])
    vain = [_flagged(one) for one in scores if one.honest]
    rows.append(["all that were cleaned honestly", str(len(vain)), f"{100 * np.mean(vain):.1f}%"])
    return table(["", "faults or pages", "flagged"], rows)


def _flagged(one: Scores) -> bool:
    return one.ink_lost >= LOST or one.ink_added >= ADDED


def _draw(scores: Sequence[Scores]) -> None:
    """Draw the share of faults found over the share of honest pages flagged, for falling thresholds."""
    curves = []
    for label, kinds, name in (("large losses", LARGE, "ink_lost"), ("small losses", SMALL, "ink_lost"),
                               ("inventions", ("added",), "ink_added")):  # fmt: skip
        honest = np.asarray([getattr(one, name) for one in scores if one.honest])
        found = np.asarray([score for one in scores for kind in kinds for score in one.planted.get(kind, [])])
        steps = np.linspace(0, 1, 501)
        x = [float(np.mean(honest >= step)) for step in steps]
        y = [float(np.mean(found >= step)) for step in steps]
        curves.append(Curve(label, x, y, dashed=kinds == SMALL))
    axes = ("honest pages flagged", "planted faults found")
    draw_curves(ROOT / "model" / "guard.svg", curves, "The guard: found, and in vain", axes)
