"""Pages in, cleaned pages out: batching, tiling and the device around the network.

A page above the tile size is cut into tiles that overlap by the network's whole reach, so the seams are
exact; a page's result never depends on the other pages of its batch. The last word have `model.restraint`,
`model.residue` and `model.insets`, which know the whole page.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.autoencoder import AutoencoderConfig, is_large
from model.device import DeviceError, fast_dtype, pick_device
from model.insets import keep_insets
from model.networks import for_pages
from model.residue import without_residue
from model.restraint import restrained
from model.weights import load_weights

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) grey or (H, W, 3) RGB; 0 is black, the dtype's largest value white."""

TILE = 4096
"""Pages larger than this many pixels a side (plus the overlap) are cleaned in tiles. Part of the recipe."""

SMALLEST_TILE = 256


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
            large: whether they are parts of large pages (`model.autoencoder.LARGE`); whole ones by default.

        Returns:
            As many pages, same shape and dtype.

        Raises:
            DeviceError: not even the smallest tile fits into the device's memory.
        """
        if large is None:
            large = is_large(*pages[0].shape[:2])
        while (cleaned := self._attempt(pages, large)) is None:
            torch.cuda.empty_cache()
            if len(pages) > 1:
                half = len(pages) // 2
                return [*self.clean(pages[:half], large), *self.clean(pages[half:], large)]
            if self.tile // 2 < SMALLEST_TILE:
                raise DeviceError("the device has too little free memory even for a small tile")
            self.tile //= 2
            log.warning("out of device memory: tiles are now %d pixels", self.tile)
        return cleaned

    def _attempt(self, pages: Sequence[Pixels], large: bool) -> list[Pixels] | None:
        """None if memory ran out: the caller goes on when the exception and what its frames hold are gone."""
        try:
            if self._batches and max(pages[0].shape[:2]) <= self.tile:
                return self._whole(pages, large)
            return [self._by_tiles(page, large) for page in pages]
        except torch.OutOfMemoryError:
            return None

    def _by_tiles(self, page: Pixels, large: bool) -> Pixels:
        height, width = page.shape[:2]
        reach, stride = self._config.reach(large), self._config.stride(large)
        if max(height, width) <= self.tile + 2 * reach:
            return self._whole([page], large)[0]
        result = np.empty_like(page)
        for top, bottom in self._spans(height, stride):
            for left, right in self._spans(width, stride):
                y, x = max(0, top - reach), max(0, left - reach)
                window = _tensor([page[y : bottom + reach, x : right + reach]]).to(self.device)
                cleaned = _pages(self._network(window, large), page.ndim)[0]
                result[top:bottom, left:right] = cleaned[top - y : bottom - y, left - x : right - x]
        # Such pages are large for any device: where their pixels lie there is room.
        whole = self._finished(_tensor([page]), _tensor([result]), large)
        return _pages(whole, page.ndim)[0]

    def _spans(self, length: int, stride: int) -> Iterator[tuple[int, int]]:
        """Cut a side into tiles that start on the network's stride, as the whole page's cells do."""
        step = max(self.tile // stride, 1) * stride
        starts = range(0, length, step)
        return ((start, min(start + step, length)) for start in starts)

    def _whole(self, pages: Sequence[Pixels], large: bool) -> list[Pixels]:
        """Clean pages that the device takes as they are."""
        scans = _tensor(pages).to(self.device)
        return _pages(self._finished(scans, self._network(scans, large), large), pages[0].ndim)

    def _finished(self, scans: Tensor, cleaned: Tensor, large: bool) -> Tensor:
        if not isinstance(self._config, AutoencoderConfig):
            return cleaned  # the article's network stays what it is
        return finished(scans, cleaned, self._config.cell(large))


@torch.inference_mode()
def finished(scans: Tensor, cleaned: Tensor, cell: int) -> Tensor:
    """What only the whole page knows: how dark writing is, what is left of stains, and where pictures are.

    Args:
        scans: (N, H, W, 1 or 3) uint8 or uint16, whole pages.
        cleaned: what the network made of them, alike.
        cell: the side in pixels of the cells it saw them in.

    Returns:
        The shape, dtype and device of `cleaned`.
    """
    cell += cell % 2
    restored = without_residue(scans, restrained(scans, cleaned, cell), 2 * cell)
    return keep_insets(scans, restored, 2 * cell)


def _tensor(pages: Sequence[Pixels]) -> Tensor:
    """(N, H, W, C), a copy: writable and contiguous whatever the pages are."""
    return torch.from_numpy(np.stack([page if page.ndim > 2 else page[..., None] for page in pages]))  # noqa: PLR2004


def _pages(batch: Tensor, dimensions: int) -> list[Pixels]:
    """What `_tensor` made, as pages of so many dimensions."""
    array = batch.to("cpu").numpy()
    return [page[..., 0] if dimensions == 2 else page for page in array]  # noqa: PLR2004
