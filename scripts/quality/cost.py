"""What a network costs: time beside the article's network, the report's measures and the guard; seams."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.cleaning.cleaner import load_cleaner
from model.drawing.damage import damage
from model.drawing.pages import render_page
from model.guard.guard import Guard
from model.judging.condition import at_scale, condition
from model.judging.text_or_picture import unlike_text
from model.network.article import ArticleNetwork, ArticlePages
from model.page import Page
from scripts.quality.case import Method
from scripts.quality.pages import SEED
from scripts.quality.results import Measurement, Row

THREADS = 2
SEAM_TILE = 512
_WHITE_16 = 257  # 65535 / 255: a grey level of 8 bits in 16


@dataclass(frozen=True)
class Size:
    """A page's size and resolution."""

    height: int
    width: int
    dpi: int

    @property
    def words(self) -> str:
        """As tables say it."""
        return f"{self.height}x{self.width} grey pixels at {self.dpi} dpi"


A4 = Size(3508, 2480, 300)
SMALL = Size(1169, 827, 100)
"""A4 too, for --quick."""


def draw(size: Size) -> Page:
    """A damaged page."""
    rng = np.random.default_rng(SEED)
    return damage(render_page(rng, size.height, size.width, size.dpi), rng)


def cost(path: Path, method: Method, size: Size, times: int) -> Measurement:
    """Best times on a CPU; all take turns, because the speed of a machine drifts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        page = draw(size)
        cleaner = load_cleaner(path, "cpu")
        article = ArticlePages(ArticleNetwork(), torch.device("cpu"))
        tensor = torch.from_numpy(page)[None, :, :, None]
        cleaner.clean([page])  # what is done only once, at the first page
        guard, dpi = Guard(), (size.dpi, size.dpi)
        works = (
            lambda: article(tensor), lambda: cleaner.clean([page]), lambda: _measured(page, dpi),
            lambda: _guarded(guard, page, dpi),
        )  # fmt: skip
        turns = [[_seconds(work) for work in works] for _ in range(times)]
    finally:
        torch.set_num_threads(threads)
    theirs, ours, measures, guarded = (min(seconds) for seconds in zip(*turns, strict=True))
    about = f"a page of {size.words} on {THREADS} CPU threads, best of {times} turns"
    figures = {"article_s": theirs, "seconds": ours, "ratio": theirs / ours, "measures_s": measures}
    figures["guard_s"] = guarded
    return _measurement("cost", method, about, figures)


def seams(path: Path, method: Method, size: Size) -> Measurement:
    """The largest difference that tiles make, in grey levels of 255."""
    # 16 bits a pixel show differences of less than a grey level.
    page = draw(size).astype(np.uint16) * _WHITE_16
    whole = np.asarray(load_cleaner(path, tile=2 * max(page.shape)).clean([page])[0], np.int64)
    tiled = np.asarray(load_cleaner(path, tile=SEAM_TILE).clean([page])[0], np.int64)
    about = f"a page of {size.words}, in tiles of {SEAM_TILE} and whole"
    step = float(np.abs(whole - tiled).max()) / _WHITE_16
    return _measurement("seams", method, about, {"seam": step})


def _measured(page: Page, dpi: tuple[int, int]) -> None:
    """Take the report's measures, before and after."""
    for _ in range(2):
        condition(*at_scale(page, dpi))


def _guarded(guard: Guard, page: Page, dpi: tuple[int, int]) -> None:
    """Judge whether a page is text, and whether cleaning lost ink."""
    grey, scale = at_scale(page, dpi)
    unlike_text(page, grey, scale)
    guard.compare(grey, grey)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _measurement(section: str, method: Method, about: str, figures: dict[str, float]) -> Measurement:
    row: Row = {"name": "page", "group": "page", **figures}
    facts = (section, method.name, method.kind, method.how, about, about)
    return Measurement(*facts, rows=[row], weights=method.weights)
