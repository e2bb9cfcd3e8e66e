"""Pages in, cleaned pages out.

Pages are seen in cells that suit their size, and those with wide writing (`model.cleaning.stroke_width`) in
larger ones: as if they were large, then at half their size, at a quarter, and so on. Rules that know the
whole page (`model.cleaning.finish`) come after the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import torch

from model.cleaning.finish import RULES, Rule, finished
from model.cleaning.half_size import carried, halved
from model.cleaning.page_view import PageView
from model.cleaning.stroke_width import wide_writing
from model.cleaning.tiles import Tiles, to_pages, to_tensor
from model.device import pick_device
from model.network.autoencoder import Autoencoder, AutoencoderConfig, is_large
from model.network.weights import load_weights
from model.page import Pixels
from model.tile import TILE

_FEWEST_CELLS = 16
"""The shorter side in cells of pages that are halved, at least."""


class Cleaner(Protocol):
    """A network on a device that cleans pages. Not thread-safe: callers take turns."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        """Clean whole pages.

        Args:
            pages: at least one page; all of the same shape and dtype.

        Returns:
            As many pages of the same shape and dtype.

        Raises:
            DeviceError: not even the smallest tile fits into the device's memory.
        """

    def clean_parts(self, pages: Sequence[Pixels], large: bool) -> list[Pixels]:
        """Clean parts of pages, as `clean` does; what needs the whole page to be judged isn't.

        Args:
            pages: at least one part; all of the same shape and dtype.
            large: whether they are parts of large pages (`model.network.autoencoder.LARGE`).
        """


def load_cleaner(
    weights: Path, device: str = "auto", tile: int = TILE, rules: Sequence[Rule] = RULES
) -> Cleaner:
    """The cleaner for these weights, on a device.

    Args:
        weights: of Pumice's network or the article's.
        device: `auto`, `cpu` or `cuda`.
        tile: the side in pixels above which pages are cut into tiles.
        rules: what finishes pages after Pumice's network; the article's has no rules.

    Raises:
        WeightsError: see `load_weights`.
        DeviceError: see `model.device.pick_device`.
    """
    place = pick_device(device)
    model = load_weights(weights)
    tiles = Tiles(model, place, tile)
    return (
        PumiceCleaner(tiles, model.config, rules) if isinstance(model, Autoencoder) else ArticleCleaner(tiles)
    )


class ArticleCleaner:
    """The article's network as it stands in the article: it sees all pages in the same way, without rules."""

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._tiles.device

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        """See `Cleaner`."""
        return self._tiles.in_batches(pages, self._clean_batch)

    def clean_parts(self, pages: Sequence[Pixels], large: bool) -> list[Pixels]:  # noqa: ARG002
        """See `Cleaner`."""
        return self.clean(pages)

    def _clean_batch(self, pages: Sequence[Pixels]) -> list[Pixels]:
        cleaned = self._tiles.run(self._tiles.load(pages, large=False), large=False)
        return to_pages(cleaned, pages[0].ndim)


@dataclass(frozen=True)
class TooWide:
    """Instead of a cleaned page: its writing is too wide for the cells that it was seen in."""


Result: TypeAlias = Pixels | TooWide


class PumiceCleaner:
    """Pumice's network, and the rules that finish its pages."""

    def __init__(self, tiles: Tiles, config: AutoencoderConfig, rules: Sequence[Rule] = RULES) -> None:
        self._tiles, self._config, self._rules = tiles, config, rules

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._tiles.device

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        """See `Cleaner`."""
        large = is_large(*pages[0].shape[:2])
        return [
            self._clean_in_larger_cells(page, large) if isinstance(result, TooWide) else result
            for page, result in zip(pages, self._try(pages, large), strict=True)
        ]

    def clean_parts(self, pages: Sequence[Pixels], large: bool) -> list[Pixels]:
        """See `Cleaner`."""
        return self._tiles.in_batches(pages, lambda batch: self._clean_batch(batch, large))

    def _clean_in_larger_cells(self, page: Pixels, large: bool) -> Pixels:
        """Clean a page with wide writing: as a large one, then at half its size, until its writing is narrow.

        Each result is carried back to the size before.
        """
        smaller, is_now_large = page, large
        tried: list[tuple[Pixels, bool]] = []
        result: Result = TooWide()
        while isinstance(result, TooWide):
            tried.append((smaller, is_now_large))
            smaller, is_now_large = halved(smaller) if is_now_large else smaller, True
            (result,) = self._try([smaller], large=True)
        for before, was_large in reversed(tried):
            if was_large:
                result = carried(before, smaller, result)
            result = self._finish_again(before, result, was_large)
            smaller = before
        return result

    def _try(self, pages: Sequence[Pixels], large: bool) -> list[Result]:
        """Clean whole pages of small or of large cells, save those whose writing is too wide for these."""
        return self._tiles.in_batches(pages, lambda batch: self._try_batch(batch, large))

    def _try_batch(self, pages: Sequence[Pixels], large: bool) -> list[Result]:
        view = self._view(pages, large)
        wide = self._are_too_wide(view, large)
        if not any(wide):
            return [*to_pages(self._clean_view(view, large), pages[0].ndim)]
        del view  # its memory is for the others
        others = [page for page, is_wide in zip(pages, wide, strict=True) if not is_wide]
        narrow = iter(self._clean_batch(others, large) if others else [])
        return [TooWide() if is_wide else next(narrow) for is_wide in wide]

    def _clean_batch(self, pages: Sequence[Pixels], large: bool) -> list[Pixels]:
        return to_pages(self._clean_view(self._view(pages, large), large), pages[0].ndim)

    def _clean_view(self, view: PageView, large: bool) -> torch.Tensor:
        return finished(view, self._tiles.run(view.pages, large), self._rules)

    def _view(self, pages: Sequence[Pixels], large: bool) -> PageView:
        return PageView(self._tiles.load(pages, large), self._cell(large))

    def _cell(self, large: bool) -> int:
        """The side of the network's cells, made even."""
        cell = self._config.cell(large)
        return cell + cell % 2

    @staticmethod
    def _are_too_wide(view: PageView, large: bool) -> list[bool]:
        """Whether each page has wide writing, and may be seen in larger cells."""
        if large and min(view.light.shape[2:]) < _FEWEST_CELLS:
            return [False] * len(view.pages)
        return wide_writing(view)

    def _finish_again(self, page: Pixels, cleaned: Pixels, large: bool) -> Pixels:
        """Apply the rules that a page needs at its own size, too."""
        view = PageView(to_tensor([page]), self._cell(large))
        again = [rule for rule in self._rules if rule.at_every_size]
        return to_pages(finished(view, to_tensor([cleaned]), again), page.ndim)[0]
