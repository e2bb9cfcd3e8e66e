"""Pages in, cleaned pages out: batching, tiling and the device around the network.

A page above the tile size is cut into tiles that overlap by the network's whole reach, so the seams are
exact; a page's result never depends on the other pages of its batch. Pages are seen in cells that suit their
size, and those with wide writing (`model.cleaning.stroke_width`) in larger ones. The last word have
`model.cleaning.restore_pale`,
`model.cleaning.lift_stains` and `model.cleaning.keep_pictures`, which know the whole page.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from model.cleaning.half_size import carried, halved
from model.cleaning.keep_pictures import keep_insets
from model.cleaning.lift_stains import without_residue
from model.cleaning.restore_pale import restrained
from model.cleaning.stroke_width import Seen, seen, wide_writing
from model.device import DeviceError, fast_dtype, pick_device
from model.network.autoencoder import AutoencoderConfig, is_large
from model.network.registry import for_pages
from model.network.weights import load_weights
from model.page import TILE, Pixels

log = logging.getLogger(__name__)

SMALLEST_TILE = 256

_FEWEST_CELLS = 16
"""The shorter side in cells of pages that are halved, at least."""


class Cleaner:
    """The network on a device. Not thread-safe: callers take turns."""

    def __init__(self, weights: Path, device: str = "auto", tile: int = TILE) -> None:
        """Load the weights onto the device.

        Raises:
            WeightsError: see `load_weights`.
            DeviceError: see `model.device.pick_device`.
        """
        self.device = pick_device(device)
        self.dtype = fast_dtype(self.device)
        model = load_weights(weights)
        self._config = model.config
        self._network = for_pages(model, self.device, self.dtype)
        # A CPU gains nothing from batches, and its kernels might round differently for another size of them.
        self._batches = self.device.type != "cpu"
        self.tile = tile

    def clean(self, pages: Sequence[Pixels], large: bool | None = None) -> list[Pixels]:
        """Clean pages of one shape and dtype.

        Args:
            pages: at least one page; all of the same shape and dtype.
            large: whether they are parts of large pages (`model.network.autoencoder.LARGE`); whole ones by
            default.

        Returns:
            As many pages, same shape and dtype.

        Raises:
            DeviceError: not even the smallest tile fits into the device's memory.
        """
        if large is not None:
            return cast("list[Pixels]", self._clean(pages, large, whole=False))  # parts aren't judged
        large = is_large(*pages[0].shape[:2])
        return [
            self._in_larger_cells(page, large) if cleaned is None else cleaned
            for page, cleaned in zip(pages, self._clean(pages, large, whole=True), strict=True)
        ]

    def _clean(self, pages: Sequence[Pixels], large: bool, whole: bool) -> list[Pixels | None]:
        """Clean pages; None where whole ones have writing that is too wide to be seen so."""
        while (cleaned := self._attempt(pages, large, whole)) is None:
            torch.cuda.empty_cache()
            if len(pages) > 1:
                half = len(pages) // 2
                return [*self._clean(pages[:half], large, whole), *self._clean(pages[half:], large, whole)]
            if self.tile // 2 < SMALLEST_TILE:
                raise DeviceError("the device has too little free memory even for a small tile")
            self.tile //= 2
            log.warning("out of device memory: tiles are now %d pixels", self.tile)
        return cleaned

    def _attempt(self, pages: Sequence[Pixels], large: bool, whole: bool) -> list[Pixels | None] | None:
        """None if memory ran out: the caller goes on when the exception and what its frames hold are gone."""
        try:
            if self._batches and max(pages[0].shape[:2]) <= self.tile:
                return self._at_once(pages, large, whole)
            return [self._by_tiles(page, large, whole) for page in pages]
        except torch.OutOfMemoryError:
            return None

    def _by_tiles(self, page: Pixels, large: bool, whole: bool) -> Pixels | None:
        height, width = page.shape[:2]
        reach, stride = self._config.reach(large), self._config.stride(large)
        if max(height, width) <= self.tile + 2 * reach:
            return self._at_once([page], large, whole)[0]
        scan = _tensor([page])
        marks = self._marks(scan, large)
        if whole and any(self._wide(marks, large)):
            return None
        result = np.empty_like(page)
        for top, bottom in self._spans(height, stride):
            for left, right in self._spans(width, stride):
                y, x = max(0, top - reach), max(0, left - reach)
                window = _tensor([page[y : bottom + reach, x : right + reach]]).to(self.device)
                part = _pages(self._network(window, large), page.ndim)[0]
                result[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]
        # Such pages are large for any device: where their pixels lie there is room.
        cleaned = _tensor([result])
        return _pages(finished(scan, marks, cleaned) if marks else cleaned, page.ndim)[0]

    def _spans(self, length: int, stride: int) -> Iterator[tuple[int, int]]:
        """Cut a side into tiles that start on the network's stride, as the whole page's cells do."""
        step = max(self.tile // stride, 1) * stride
        starts = range(0, length, step)
        return ((start, min(start + step, length)) for start in starts)

    def _at_once(self, pages: Sequence[Pixels], large: bool, whole: bool) -> list[Pixels | None]:
        """Clean pages that the device takes as they are."""
        scans = _tensor(pages).to(self.device)
        marks = self._marks(scans, large)
        if whole and any(wide := self._wide(marks, large)):
            del scans, marks
            others = [page for page, is_wide in zip(pages, wide, strict=True) if not is_wide]
            narrow = iter(self._at_once(others, large, whole=False) if others else [])
            return [None if is_wide else next(narrow) for is_wide in wide]
        cleaned = self._network(scans, large)
        return [*_pages(finished(scans, marks, cleaned) if marks else cleaned, pages[0].ndim)]

    def _marks(self, scans: Tensor, large: bool) -> Seen | None:
        """Pages as cells; nothing for the article's network, which stays what it is."""
        cell = self._even_cell(large)
        return None if cell is None else seen(scans, cell)

    def _even_cell(self, large: bool) -> int | None:
        if not isinstance(self._config, AutoencoderConfig):
            return None
        cell = self._config.cell(large)
        return cell + cell % 2

    @staticmethod
    def _wide(marks: Seen | None, large: bool) -> list[bool]:
        """Whether pages' writing is too wide for the cells that suit their size."""
        if marks is None or (large and min(marks.light.shape[2:]) < _FEWEST_CELLS):
            return []
        return wide_writing(marks)

    def _in_larger_cells(self, page: Pixels, large: bool) -> Pixels:
        """Clean a page with wide writing: as part of a large one, or else half of it, and so on.

        Pictures are put back as those of a page of its size.
        """
        if large:
            half = halved(page)
            result = carried(page, half, self._cleaned(half))
        else:
            result = self._cleaned(page)
        cell = self._even_cell(large)
        assert cell is not None, "the article's network finds no writing wide"
        return _pages(keep_insets(_tensor([page]), _tensor([result]), 2 * cell), page.ndim)[0]

    def _cleaned(self, page: Pixels) -> Pixels:
        """A page as if it were large."""
        cleaned = self._clean([page], large=True, whole=True)[0]
        return self._in_larger_cells(page, large=True) if cleaned is None else cleaned


@torch.inference_mode()
def finished(scans: Tensor, marks: Seen, cleaned: Tensor) -> Tensor:
    """What only the whole page knows: how dark writing is, what is left of stains, and where pictures are.

    Args:
        scans: (N, H, W, 1 or 3) uint8 or uint16, whole pages.
        marks: them in the cells, if even, that the network saw.
        cleaned: what it made of them, alike.

    Returns:
        The shape, dtype and device of `cleaned`.
    """
    side = 2 * marks.cell
    return keep_insets(scans, without_residue(scans, restrained(marks, cleaned), side), side)


def _tensor(pages: Sequence[Pixels]) -> Tensor:
    """(N, H, W, C), a copy: writable and contiguous whatever the pages are."""
    return torch.from_numpy(np.stack([page if page.ndim > 2 else page[..., None] for page in pages]))  # noqa: PLR2004


def _pages(batch: Tensor, dimensions: int) -> list[Pixels]:
    """What `_tensor` made, as pages of so many dimensions."""
    array = batch.to("cpu").numpy()
    return [page[..., 0] if dimensions == 2 else page for page in array]  # noqa: PLR2004
