"""Figures: how each is computed from a measurement's pages, and how tables write it."""

from collections.abc import Callable
from dataclasses import dataclass

from model.scoring.measures import psnr
from scripts.quality.results import Measurement

NOT_MEASURED = "–"


@dataclass(frozen=True)
class Column:
    """A figure of a measurement: `form` is a format string."""

    title: str
    value: Callable[[Measurement], float | None]
    form: str

    def cell(self, measurement: Measurement | None) -> str:
        """The figure as tables write it."""
        value = self.value(measurement) if measurement else None
        return NOT_MEASURED if value is None else self.form.format(value)


def mean(title: str, key: str, form: str, group: str | None = None) -> Column:
    """The pages' mean."""
    return Column(title, lambda one: one.mean(key, group), form)


def rate(title: str, key: str, group: str | None = None) -> Column:
    """All errors per all characters: a page counts by its length."""

    def value(one: Measurement) -> float | None:
        rows = one.having(key, group)
        errors = sum(row[key] * row["characters"] for row in rows)
        return errors / sum(row["characters"] for row in rows) if rows else None

    return Column(title, value, "{:.2%}")


def total(title: str, key: str, group: str | None = None) -> Column:
    """The pages' sum."""
    return Column(title, lambda one: sum(one.values(key, group)) if one.rows else None, "{:,.0f}")


def decibels(title: str, key: str) -> Column:
    """The PSNR of the pages' mean error."""

    def value(one: Measurement) -> float | None:
        error = one.mean(key)
        return None if error is None else psnr(error)

    return Column(title, value, "{:.1f} dB")


RMSE = mean("RMSE, 0–1", "rmse", "{:.4f}")
PSNR = decibels("PSNR", "rmse")
CER = rate("CER", "cer")
F_MEASURE = mean("F-measure", "f_measure", "{:.1f}")
PAPER_RMSE = mean("paper RMSE, 0–1", "paper_rmse", "{:.4f}")
CHANGE = mean("mean change of 255", "change", "{:.3f}")
LOST = total("strokes lost", "lost")
SEAM = mean("largest step at a tile's seam, of 255", "seam", "{:.2f}")
SECONDS = mean("s/page", "seconds", "{:.2f}")
RATIO = mean("article's network / this", "ratio", "{:.1f}")
PARAMETERS = Column("parameters", lambda one: one.weights.parameters if one.weights else None, "{:,}")
