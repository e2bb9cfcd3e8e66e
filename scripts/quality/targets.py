"""The targets, each with the figures of doing nothing, of the best peer and of our weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.network.weights import WeightsError, fingerprint
from model.shipped import CLEANER
from scripts.blocks import table
from scripts.quality import figures
from scripts.quality.case import Kind
from scripts.quality.figures import Column, mean, rate
from scripts.quality.results import Measurement
from scripts.quality.table import Sections, of_weights


@dataclass(frozen=True)
class Contest:
    """The figures of one target: ours, and those of doing nothing and of the best peer if there are any."""

    ours: float
    nothing: float | None
    best: float | None


@dataclass(frozen=True)
class Target:
    """What our weights should reach.

    Attributes:
        what: in words.
        section: where it is measured.
        column: the figure.
        goal: in words; empty if the figure is there only for comparison.
        met: whether it is reached.
        higher: whether more is better.
        rivals: whether peers have the figure too.
    """

    what: str
    section: str
    column: Column
    goal: str = ""
    met: Callable[[Contest], bool] = lambda contest: True
    higher: bool = False
    rivals: bool = True


def never_worse(contest: Contest) -> bool:
    """Not above doing nothing; False if that was not measured."""
    return contest.nothing is not None and contest.ours <= contest.nothing


def half_of_best(contest: Contest) -> bool:
    """At most half of the best peer's figure; False without a peer."""
    return contest.best is not None and contest.ours <= contest.best / 2


def targets(sections: Sections) -> list[Target]:
    """All targets; full pages and real pages have one more for each of their collections."""
    return [
        Target("damaged pairs: RMSE, 0–1", "pairs", figures.RMSE, "≤ 0.018", lambda c: c.ours <= 0.018),
        Target("the same: PSNR", "pairs", figures.PSNR, "≥ 35 dB", lambda c: c.ours >= 35, higher=True),
        Target("the same: CER", "pairs", figures.CER, "≤ 1.6%", lambda c: c.ours <= 0.016),
        Target(
            "1-bit truths: F-measure", "dibco", figures.F_MEASURE, "≥ 90", lambda c: c.ours >= 90, higher=True
        ),
        Target("damaged full pages: paper RMSE, 0–1", "pages", figures.PAPER_RMSE),
        Target("the same: CER", "pages", figures.CER, "≤ half the best peer's", half_of_best),
        *_collections(sections, "pages", "the same"),
        *_collections(sections, "real", "real pages"),
        *_scans(sections),
        *_clean(sections),
        Target("clean pages: strokes lost", "clean", figures.LOST, "none", lambda c: c.ours == 0),
        Target("tiles: largest step at a seam, of 255", "seams", figures.SEAM, "< 1", lambda c: c.ours < 1),
        Target("article's time / ours", "cost", figures.RATIO, "≥ 20", lambda c: c.ours >= 20, rivals=False),
        Target("parameters", "cost", figures.PARAMETERS, "≤ 2,000,000", lambda c: c.ours <= 2_000_000),
    ]  # fmt: skip


def _collections(sections: Sections, section: str, what: str) -> list[Target]:
    return [
        Target(
            f"{what}, {group}: CER", section, rate("CER", "cer", group),
            "never above doing nothing", never_worse,
        )
        for group in _groups(sections, section, "cer")
    ]  # fmt: skip


def _scans(sections: Sections) -> list[Target]:
    """For scans without a transcription: whether Tesseract is as sure as before."""
    return [
        Target(
            f"real pages, {group}: Tesseract's confidence, 0–100", "real",
            mean("confidence", "confidence", "{:.1f}", group), "never below doing nothing",
            lambda c: c.nothing is not None and c.ours >= c.nothing, higher=True,
        )
        for group in _groups(sections, "real", "drift")
    ]  # fmt: skip


def _clean(sections: Sections) -> list[Target]:
    return [
        Target(
            f"clean pages, {group}: mean change of 255", "clean",
            mean("change", "change", figures.CHANGE.form, group), "< 0.5", lambda c: c.ours < 0.5,
        )
        for group in _groups(sections, "clean", "change")
    ]  # fmt: skip


def _groups(sections: Sections, section: str, key: str) -> list[str]:
    return list(dict.fromkeys(group for one in sections.get(section, ()) for group in one.groups(key)))


def targets_table(sections: Sections) -> str:
    """One row for each target, for the shipped weights, or those that were measured last."""
    chosen = _our_weights(sections)
    if not chosen:
        return "Not measured yet."
    sha256, name = chosen
    rows = [_row(target, sections.get(target.section, ()), sha256) for target in targets(sections)]
    return table(["", "do nothing", "best runnable peer", name, "target", "met"], rows)


def _our_weights(sections: Sections) -> tuple[str, str] | None:
    found = {
        one.weights.sha256: one.method
        for some in sections.values() for one in some
        if one.weights and one.kind is Kind.OURS
    }  # fmt: skip
    try:
        shipped = fingerprint(CLEANER)
    except WeightsError:
        shipped = ""
    last = list(found)[-1] if found else ""
    sha256 = shipped if shipped in found else last
    return (sha256, found[sha256]) if sha256 else None


def _row(target: Target, measurements: Sequence[Measurement], sha256: str) -> list[str]:
    column = target.column
    ours = of_weights(measurements, sha256)
    nothing = next((one for one in measurements if one.kind is Kind.NOTHING), None)
    best = _best(target, measurements)
    value, *others = (column.value(one) if one else None for one in (ours, nothing, best))
    met = figures.NOT_MEASURED
    if value is not None and target.goal:
        met = "yes" if target.met(Contest(value, *others)) else "**no**"
    peer = f"{column.cell(best)} ({best.method})" if best else figures.NOT_MEASURED
    return [target.what, column.cell(nothing), peer, column.cell(ours), target.goal or "", met]


def _best(target: Target, measurements: Sequence[Measurement]) -> Measurement | None:
    peers = [one for one in measurements if one.kind is Kind.PEER and target.rivals]
    scored = [(value, one) for one in peers if (value := target.column.value(one)) is not None]
    sign = -1 if target.higher else 1
    return min(scored, key=lambda pair: sign * pair[0], default=(0, None))[1]
