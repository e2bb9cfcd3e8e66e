"""The denoising autoencoder: a U-Net on pixel-unshuffled pages that predicts a gain and a correction.

Pages are large, and most of their pixels are right already. So the network works on cells, squares of pixels
that became channels (pixel unshuffle, Shi et al. 2016, arXiv:1609.05158), in two branches. The context branch
is a U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that starts at half of the cells' resolution and sees
far: it tells paper from stains. The detail branch sees every stroke, cell by cell, and gets the context
branch's result. They predict two things, which are zero where nothing is to change: a smooth gain that
flattens light and paper, and a correction of each pixel for what no gain can mend.

    cleaned = clamp(page * (1 + gain) + correction, 0, 1)

Strokes on a large page are as wide in millimetres as those on a small one, and wider in pixels. So there are
two sizes of cells: small ones for pages of less than `LARGE` pixels, twice as large ones for others (A4 from
250 dpi on). Only the layers between pixels and cells exist twice (`Ends`). The branches see strokes of about
one width, and a large page costs them a quarter.

Cost decided the shape: strokes need several layers of the detail branch, which sees all cells, so the context
begins at half its resolution. Widths are multiples of 32, which fill matrix units. Blocks end in their ReLU,
so that convolution, shortcut and ReLU run as one pass over memory (`model.network.convolve`).

One set of weights serves grey and colour. For grey pages the colour weights are folded over the three
channels, which gives the same numbers as three equal channels at a third of the input's cost.
"""

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from model.network.convolve import convolve
from model.network.ends import Ends, bias_of

MAX_CELL = 8
MAX_LEVELS = 7
MAX_WIDTH = 512
MAX_BLOCKS = 8

LARGE = 6_000_000
"""Pages of this many pixels and more are large. Part of the recipe."""


def is_large(height: int, width: int) -> bool:
    """Whether a page of this height and width in pixels is seen in large cells."""
    return height * width >= LARGE


@dataclass(frozen=True)
class AutoencoderConfig:
    """The network's shape; stored beside its weights.

    Attributes:
        cells: the side of cells in pixels, 1 to 8: on small pages, then on large ones; or one size for all.
        widths: channels of the detail branch, which sees every cell, then those of each level of the context,
            which sees every 2nd, 4th, ... cell a side; 2 to 7 numbers.
        blocks: how many the detail branch has, then each level of the context on the way down, and again on
            the way up; 1 to 8.
    """

    cells: tuple[int, ...] = (2, 4)
    widths: tuple[int, ...] = (32, 32, 64, 96, 128)
    blocks: tuple[int, ...] = (3, 1, 2, 2, 2)

    def __post_init__(self) -> None:
        if not 1 <= len(self.cells) <= 2 or not all(1 <= cell <= MAX_CELL for cell in self.cells):  # noqa: PLR2004
            raise ValueError(f"cells must be one or two numbers up to {MAX_CELL}, not {self.cells}")
        if not 1 < len(self.widths) <= MAX_LEVELS or not all(1 <= w <= MAX_WIDTH for w in self.widths):
            raise ValueError(f"widths must be 2 to {MAX_LEVELS} numbers up to {MAX_WIDTH}, not {self.widths}")
        if len(self.blocks) != len(self.widths) or not all(1 <= b <= MAX_BLOCKS for b in self.blocks):
            raise ValueError(f"blocks must be numbers up to {MAX_BLOCKS}, one a width, not {self.blocks}")

    def cell(self, large: bool) -> int:
        """The side of the cells in which small or large pages are seen."""
        return self.cells[-1 if large else 0]

    def stride(self, large: bool) -> int:
        """Pages are padded to multiples of this many pixels."""
        return self.cell(large) * self._coarsest

    def reach(self, large: bool) -> int:
        """No pixel farther away than this changes a result: tiles that overlap by it are exact."""
        seen = ((at, *self._seen(at)) for at in range(self._coarsest))
        radius = max(max(at - low, high - at) for at, low, high in seen)
        return -(-(radius + 1) // self._coarsest) * self.stride(large)

    @property
    def _coarsest(self) -> int:
        """How many cells a side the context's last level sees as one."""
        return 1 << (len(self.widths) - 1)

    def _seen(self, at: int) -> tuple[int, int]:
        """The first and last of the cells, in a row, that a cell's result depends on."""
        detail, *context = (2 * blocks for blocks in self.blocks)  # a block has two convolutions
        low, high = at - detail - 1, at + detail + 1  # and so do the heads, one
        for seen in context:
            low, high = low // 2 - seen, high // 2 + seen
        for seen in reversed(context[:-1]):
            low, high = 2 * low - seen, 2 * high + 1 + seen
        return 2 * (low - 1), 2 * (high + 1) + 1  # the context's stem


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # Deep networks start best as their shortcuts alone.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(bias_of(self.second))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) in and out."""
        return convolve(self.second, convolve(self.first, x, relu=True), relu=True, shortcut=x)


class Autoencoder(nn.Module):
    """Gain-and-correction network of two branches; see the module's text."""

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        widths, blocks = self.config.widths, self.config.blocks
        self.ends = nn.ModuleDict({str(cell): Ends(cell, *widths[:2]) for cell in self.config.cells})
        self.detail = _blocks(widths[0], blocks[0])
        pairs = list(zip(widths[1:], widths[2:], strict=False))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairs)
        self.encoder = nn.ModuleList(map(_blocks, widths[1:], blocks[1:]))
        pairs = list(zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.decoder = nn.ModuleList(map(_blocks, widths[1:-1], blocks[1:-1]))

    def forward(self, x: Tensor, large: bool) -> tuple[Tensor, Tensor]:
        """Predict how to clean pages.

        Args:
            x: (N, 1 or 3, H, W), 0 black to 1 white, H and W multiples of `config.stride(large)`.
            large: whether they are large pages, or parts of some.

        Returns:
            Gain and correction, each of x's shape; `predicted` puts them to use.
        """
        ends = self.ends_for(self.config.cell(large))
        detail, context = ends.enter(x)
        h = F.relu(detail + self.up[0](self._context(F.relu(context))))
        return ends.leave(self.detail(h), grey=x.shape[1] == 1)

    def ends_for(self, cell: int) -> Ends:
        """The layers for cells of this size."""
        return cast(Ends, self.ends[str(cell)])

    def _context(self, h: Tensor) -> Tensor:
        h, skips = self.encoder[0](h), []
        for down, blocks in zip(self.down, self.encoder[1:], strict=True):
            skips.append(h)
            h = blocks(down(h))
        for up, blocks in zip(reversed(self.up[1:]), reversed(self.decoder), strict=True):
            h = blocks(up(h) + skips.pop())
        return h

    def predicted(self, x: Tensor, large: bool) -> Tensor:
        """The cleaned pages before they are cut to 0..1, for training; float32 even under autocast."""
        gain, correction = self(x, large)
        result: Tensor = x * (1 + gain.float()) + correction.float()
        return result


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))
