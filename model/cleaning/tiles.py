"""A network on a device, run over pages of any size: in batches and in tiles, smaller if memory runs out.

A page above the tile size is cut into tiles that overlap by the network's whole reach, so the seams are
exact; a page's result never depends on the other pages of its batch.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from model.device import DeviceError, fast_dtype
from model.network.registry import Network, for_pages
from model.page import Pixels
from model.tile import TILE

log = logging.getLogger(__name__)

SMALLEST_TILE = 256

T = TypeVar("T")


class Tiles:
    """A network that takes pages of any size. Not thread-safe: callers take turns.

    Attributes:
        device: where it runs.
        tile: the side in pixels above which pages are cut, half as large after memory ran out.
    """

    def __init__(self, model: Network, device: torch.device, tile: int = TILE) -> None:
        """Move the network to the device; it is taken over, use it for nothing else."""
        self.device, self.tile = device, tile
        self._config = model.config
        self._network = for_pages(model, device, fast_dtype(device))
        # A CPU gains nothing from batches, and its kernels might round differently for another size of them.
        self._batches = device.type != "cpu"

    def in_batches(self, pages: Sequence[Pixels], work: Callable[[Sequence[Pixels]], list[T]]) -> list[T]:
        """Do some work, with `load` and `run`, on as many pages at once as the device takes.

        Args:
            pages: all of the same shape and dtype.
            work: returns one result for each page; it is done again on fewer pages, or in smaller tiles, if
                the device's memory runs out.

        Raises:
            DeviceError: not even the smallest tile fits into the device's memory.
        """
        results: list[T] = []
        waiting = [pages]
        while waiting:
            batch = waiting.pop()
            try:
                results += self._on_all(batch, work)
                continue
            except torch.OutOfMemoryError:
                pass  # go on when the exception is gone, and with it what its frames hold
            torch.cuda.empty_cache()
            if len(batch) > 1:
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
            else:
                self._halve_tile()
                waiting.append(batch)
        return results

    def _on_all(self, pages: Sequence[Pixels], work: Callable[[Sequence[Pixels]], list[T]]) -> list[T]:
        if self._batches and max(pages[0].shape[:2]) <= self.tile:
            return work(pages)
        return [result for page in pages for result in work([page])]

    def _halve_tile(self) -> None:
        if self.tile // 2 < SMALLEST_TILE:
            raise DeviceError("the device has too little free memory even for a small tile")
        self.tile //= 2
        log.warning("out of device memory: tiles are now %d pixels", self.tile)

    def load(self, pages: Sequence[Pixels], large: bool) -> Tensor:
        """Pages as (N, H, W, C): on the device, or in main memory if they are to be cut into tiles."""
        scans = to_tensor(pages)
        return scans.to(self.device) if self._fits(scans, large) else scans

    def run(self, scans: Tensor, large: bool) -> Tensor:
        """Run the network.

        Args:
            scans: (N, H, W, 1 or 3) uint8 or uint16, as `load` gives them.
            large: whether they are large pages (`model.network.autoencoder.LARGE`), or parts of some.

        Returns:
            New pages of the same shape, dtype and device.
        """
        if self._fits(scans, large):
            return self._network(scans, large)
        height, width = scans.shape[1:3]
        reach, stride = self._config.reach(large), self._config.stride(large)
        result = torch.empty_like(scans)
        for top, bottom in self._spans(height, stride):
            for left, right in self._spans(width, stride):
                y, x = max(0, top - reach), max(0, left - reach)
                window = scans[:, y : bottom + reach, x : right + reach].contiguous().to(self.device)
                part = self._network(window, large)[:, top - y : bottom - y, left - x : right - x]
                result[:, top:bottom, left:right] = part.to(result.device)
        return result

    def _fits(self, scans: Tensor, large: bool) -> bool:
        return max(scans.shape[1:3]) <= self.tile + 2 * self._config.reach(large)

    def _spans(self, length: int, stride: int) -> Iterator[tuple[int, int]]:
        """Cut a side into tiles that start on the network's stride, as the whole page's cells do."""
        step = max(self.tile // stride, 1) * stride
        starts = range(0, length, step)
        return ((start, min(start + step, length)) for start in starts)


def to_tensor(pages: Sequence[Pixels]) -> Tensor:
    """(N, H, W, C), a copy: writable and contiguous whatever the pages are."""
    return torch.from_numpy(np.stack([page if page.ndim > 2 else page[..., None] for page in pages]))  # noqa: PLR2004


def to_pages(batch: Tensor, dimensions: int) -> list[Pixels]:
    """What `to_tensor` made, as pages of so many dimensions."""
    array = batch.to("cpu").numpy()
    return [page[..., 0] if dimensions == 2 else page for page in array]  # noqa: PLR2004
