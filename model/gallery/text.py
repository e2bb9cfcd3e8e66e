"""Text clean-up: the article's three convolutions on scanned pages, compared with the cleaner's network.

The article trains on whole pages, sixteen in a batch. Its network sees only six pixels far, so patches teach
it the same in less time: an epoch has four patches of each page. The cleaner's network learns from the same
pages with its own samples, loss and optimizer, for as many pixels as 200 epochs of the article's have.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.gallery.garments import fingerprint
from model.gallery.lessons import Examples, System, SystemSettings, as_light
from model.gallery.pictures import wall
from model.gallery.studio import Exhibit, Picture, Studio
from model.images import DataFault
from model.network.article import ArticleNetwork
from model.network.registry import CleanPages, Network, for_pages
from model.network.weights import load_weights
from model.page import Page, Pair, as_grey, crop
from model.scoring.measures import rmse
from model.shipped import CLEANER
from model.training.cleaner_learner import CleanerSettings
from model.training.cleaner_samples import Patches
from model.training.cleaner_train import train, validation_error

BATCH, SIDE, PATIENCE = 16, 128, 5
EPOCHS = 200
_PIXELS = BATCH * SIDE**2 / 575_000
"""The pixels of a batch, as a multiple of those of the cleaner's average batch."""
_DETAILS = 4
"""Patches of each page in an epoch."""
_VALIDATION = 6
"""One of so many pages is kept for validation."""
_CROP, _CROPS = 220, 4


class Text(System):
    """The article's network, trained as the gallery's other networks are."""

    autocast = True

    def __init__(self) -> None:
        super().__init__()
        self.network = ArticleNetwork()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) in and out, 0..1, H and W even."""
        output: Tensor = self.network(x)
        return output.float()


@dataclass(frozen=True)
class Details:
    """Batches of patches of pages, seeded by their step."""

    pairs: Sequence[Pair]
    seed: int

    @property
    def epoch(self) -> int:
        """The number of batches in an epoch."""
        return math.ceil(len(self.pairs) * _DETAILS / BATCH)

    def batches(self, first: int, last: int) -> Iterator[Examples]:
        """The batches of steps first..last-1."""
        for step in range(first, last):
            rng = np.random.default_rng((self.seed, step))
            chosen = [self.pairs[i] for i in rng.integers(0, len(self.pairs), BATCH)]
            details = [crop(rng, SIDE, as_grey(pair.noisy), as_grey(pair.clean)) for pair in chosen]
            noisy, clean = (as_light(np.stack(pages))[:, None] for pages in zip(*details, strict=True))
            yield Examples(noisy, clean, step)


def exhibit(studio: Studio) -> Exhibit:
    """Train both networks on the same pages, and score them on pages that neither has seen.

    Raises:
        DataFault: there are too few pages with grey truths.
    """
    known, held = ([pair for pair in some if not pair.bitonal] for some in (studio.pairs, studio.held_pairs))
    if len(known) <= 1 or not held:
        raise DataFault("text needs pairs whose truths are grey, two to learn from and one held out")
    networks = {
        "article's network": _article(studio, known).network,
        "cleaner's network": _cleaner(studio, known),
        f"cleaner as shipped ({CLEANER.stem})": load_weights(CLEANER),
    }
    figures = [("RMSE, 0–1, noisy", f"{_before(held):.4f}")]
    for name, model in networks.items():
        error = validation_error(model, held, torch.device("cpu"))
        figures.append((f"the same, {name}", f"{error:.4f}"))
    return Exhibit(
        "Text clean-up",
        f"Conv64 – pool – Conv64 – up – Conv1, squared error, Adam at 0.001, batch {BATCH}, patience "
        f"{PATIENCE}, up to {EPOCHS} epochs with {_DETAILS} patches of {SIDE} × {SIDE} pixels from each of "
        f"{len(known)} pages; scored on {len(held)} others. The cleaner's network saw as many pixels of the "
        "same pages as those epochs have; the shipped one has also learnt from much other data.",
        figures,
        [Picture("text", "Held-out pages, before and after.", _before_after(networks, held))],
    )


def _article(studio: Studio, known: Sequence[Pair]) -> Text:
    kept, out = _split(known)
    data = Details(kept, studio.seed)
    settings = SystemSettings(
        EPOCHS * data.epoch, studio.seed,
        patience=PATIENCE, name="text", batch=BATCH, data=_checksum(known),
    )  # fmt: skip
    held = list(Details(out, studio.seed + 1).batches(0, 1 if studio.quick else 4))
    return studio.train(Text, settings, data, data.epoch, held)


def _split(known: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pages to learn from, and pages for validation."""
    kept = [pair for index, pair in enumerate(known) if index % _VALIDATION]
    return kept, list(known[::_VALIDATION])


def _checksum(pairs: Sequence[Pair]) -> int:
    return sum(fingerprint(page) for pair in pairs for page in (pair.noisy, pair.clean))


def _cleaner(studio: Studio, known: Sequence[Pair]) -> Network:
    kept, _ = _split(known)
    steps = studio.steps(round(EPOCHS * Details(kept, studio.seed).epoch * _PIXELS))
    weights: Path = train(
        Patches(kept, [], studio.seed), CleanerSettings(steps, studio.seed),
        studio.out / "text-cleaner", on_step=studio.watcher.begin("text-cleaner", steps),
    )  # fmt: skip
    return load_weights(weights)


def _before(held: Sequence[Pair]) -> float:
    """The error of the uncleaned pages, computed as `validation_error` does."""
    squares = [rmse(as_grey(pair.noisy), as_grey(pair.clean)) ** 2 for pair in held]
    return math.sqrt(sum(squares) / len(squares))


def _before_after(networks: dict[str, Network], held: Sequence[Pair]) -> Image.Image:
    few = held[:: max(1, len(held) // _CROPS)][:_CROPS]
    rows = [("before", [pair.noisy for pair in few])]
    for name, model in networks.items():
        clean_pages = for_pages(model, torch.device("cpu"), torch.float32)
        rows.append((name, [_cleaned(clean_pages, pair.noisy) for pair in few]))
    rows.append(("truth", [pair.clean for pair in few]))
    return wall([(label, np.stack([_detail(page) for page in pages])) for label, pages in rows], zoom=1)


def _cleaned(clean_pages: CleanPages, page: Page) -> Page:
    with torch.inference_mode():
        return clean_pages(torch.from_numpy(as_grey(page).copy())[None, ..., None])[0, ..., 0].numpy()


def _detail(page: Page) -> Page:
    """A crop, at the same place for all pages of one size."""
    return crop(np.random.default_rng(0), _CROP, as_grey(page))[0]
