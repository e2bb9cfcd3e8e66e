"""What cleaning did to a page's ink: does the cleaned page lack a stroke of the scan, or have one too many?

A cleaner that silently erases a faint signature is worse than dirt. So a second network
(`model.guard.network`) compares both pages and says where ink was lost or added. Losses count more if they
were as dark as the writing beside them (`model.guard.writing`). Two simple measures say how much the page
changed at all.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from model.cells import cells_of
from model.device import fast_dtype
from model.guard.network import CELL, STRIDE, load_guard, strokes, strokes_changed
from model.guard.writing import darkness, surer, went
from model.judging.figures import Fidelity
from model.judging.ssim import ssim
from model.page import Grey
from model.shipped import GUARD

_CHANGED = 26  # a tenth of white


Chances = NDArray[np.float32]
"""(H, W), 0..1: how sure the guard is at each pixel."""


@dataclass(frozen=True)
class Comparison:
    """Two pages compared.

    Attributes:
        fidelity: the figures.
        cells: (2, h, w), 0..1, how sure the guard is that each cell lost ink, and that ink was added there.
        size: width and height of the page.
    """

    fidelity: Fidelity
    cells: NDArray[np.float32]
    size: tuple[int, int]

    @property
    def lost(self) -> Chances:
        """Where ink was lost."""
        return _at_pixels(self.cells[0], self.size)

    @property
    def added(self) -> Chances:
        """Where ink was added."""
        return _at_pixels(self.cells[1], self.size)


class Guard:
    """The guard on a device; may be used from several threads.

    Attributes:
        device: where it runs.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        """Load the shipped weights; on the CPU if no device is given."""
        self.device = device or torch.device("cpu")
        self._dtype = fast_dtype(self.device)
        network = load_guard(GUARD).to(self.device, self._dtype)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def compare(self, scan: Grey, cleaned: Grey) -> Comparison:
        """Compare a cleaned page with its scan.

        Args:
            scan: (H, W) uint8 as `model.judging.condition.at_scale` returns it: 150 dpi or less.
            cleaned: of the same shape, at the same resolution.
        """
        before, after = strokes(scan), strokes(cleaned)
        chances = self._chances(scan, cleaned) * strokes_changed(before, after)
        chances[0] = surer(chances[0], went(darkness(scan, before), darkness(cleaned, after)))
        lost, added = (float(chance.max()) for chance in chances)
        changed = cv2.countNonZero(np.asarray(cv2.absdiff(scan, cleaned) > _CHANGED, np.uint8)) / scan.size
        figures = Fidelity(lost, added, changed, ssim(_halved(scan), _halved(cleaned)))
        return Comparison(figures, chances, (scan.shape[1], scan.shape[0]))

    @torch.inference_mode()
    def _chances(self, scan: Grey, cleaned: Grey) -> NDArray[np.float32]:
        """(2, h, w), 0..1: how sure the network is that each cell lost ink, and that ink was added."""
        height, width = scan.shape
        border = (0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REPLICATE)
        pages = np.stack([cv2.copyMakeBorder(page, *border)[..., None] for page in (scan, cleaned)])
        cells = cells_of(torch.from_numpy(pages).to(self.device), 0, pages.shape[1] // CELL, CELL)
        # Both pages' cells become one, and each is one vector in memory.
        planes = cells.permute(1, 2, 0, 3, 4).flatten(2)[None].permute(0, 3, 1, 2)
        scores = self._network.of_cells(planes.bitwise_not().to(self._dtype).div_(255))
        chances: NDArray[np.float32] = torch.sigmoid(scores[0].float()).cpu().numpy()
        return chances


def _at_pixels(chance: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    whole = cv2.resize(chance, None, fx=CELL, fy=CELL, interpolation=cv2.INTER_NEAREST)
    return np.asarray(whole[: size[1], : size[0]], np.float32)


def _halved(page: Grey) -> Grey:
    height, width = page.shape
    size = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)
