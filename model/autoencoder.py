"""The denoising autoencoder: a U-Net on pixel-unshuffled pages that predicts a gain and a correction.

Pages are mostly large and mostly right already. So the network works on cells, squares of pixels that became
channels (pixel unshuffle, Shi et al. 2016, arXiv:1609.05158), in two branches. The context branch is a U-Net
(Ronneberger et al. 2015, arXiv:1505.04597) that starts at a quarter of the resolution and looks far
around: what is paper here, what is a stain. The detail branch sees every stroke at half the resolution and is
told of the context. They predict two things, zero where all is well: a smooth gain that flattens light and
paper, and a per-pixel correction for what no gain can mend.

    cleaned = clamp(page * (1 + gain) + correction, 0, 1)

Where the cost lies decided the shape: strokes need several layers of the detail branch, which sees
most of the cells, so the context begins below it. Widths are multiples of 32, which matrix
units are filled by. Blocks end in their ReLU, so that convolution, shortcut and ReLU run as one pass over
memory (`model.convolve`).

One set of weights serves grey and colour: a grey page runs through the colour network's weights folded over
the three channels, which gives the same numbers as three equal channels at a third of the input's cost.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.convolve import convolve

CHANNELS = 3
MAX_LEVELS = 7
MAX_WIDTH = 512


@dataclass(frozen=True)
class AutoencoderConfig:
    """The network's shape; stored beside its weights.

    Attributes:
        shuffle: pixels a side that become channels of one cell, 1 to 8.
        widths: channels of the detail branch, at 1/shuffle of the page's resolution, then those of the
            context, at 1/(2 shuffle), 1/(4 shuffle), ...; 2 to 7 levels.
        blocks: how many the detail branch has, 1 to 8.
    """

    shuffle: int = 2
    widths: tuple[int, ...] = (32, 32, 64, 96, 128)
    blocks: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.shuffle <= 8:  # noqa: PLR2004
            raise ValueError(f"shuffle must be 1 to 8, not {self.shuffle}")
        if not 1 <= self.blocks <= 8:  # noqa: PLR2004
            raise ValueError(f"blocks must be 1 to 8, not {self.blocks}")
        if not 1 < len(self.widths) <= MAX_LEVELS or not all(1 <= w <= MAX_WIDTH for w in self.widths):
            raise ValueError(f"widths must be 2 to {MAX_LEVELS} numbers up to {MAX_WIDTH}, not {self.widths}")

    @property
    def stride(self) -> int:
        """Pages are padded to multiples of this many pixels."""
        return self.shuffle << (len(self.widths) - 1)

    @property
    def reach(self) -> int:
        """No pixel further away than this changes a result: tiles that overlap by it are exact."""
        cells = self.stride // self.shuffle
        radius = max(
            max(cell - low, high - cell) for cell in range(cells) for low, high in [self._seen(cell)]
        )
        return -(-(radius + 1) * self.shuffle // self.stride) * self.stride

    def _seen(self, cell: int) -> tuple[int, int]:
        """The first and last of the finest cells, in a row, that a cell's result depends on."""
        low, high = cell - 2 * self.blocks - 1, cell + 2 * self.blocks + 1  # blocks and heads
        for _ in self.widths[1:]:
            low, high = low // 2 - 2, high // 2 + 2  # a block
        for _ in self.widths[2:]:
            low, high = 2 * low - 2, 2 * high + 3
        return 2 * (low - 1), 2 * (high + 1) + 1  # the context's stem


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # Deep networks start best as their shortcuts alone.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(_bias(self.second))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) in and out."""
        return convolve(self.second, convolve(self.first, x, relu=True), relu=True, shortcut=x)


class Autoencoder(nn.Module):
    """Gain-and-correction network of two branches; see the module's text."""

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or AutoencoderConfig()
        widths, cells = self.config.widths, self.config.shuffle**2
        self.stem = nn.Conv2d(CHANNELS * cells, widths[0], 3, padding=1)
        self.detail = nn.ModuleList(Block(widths[0]) for _ in range(self.config.blocks))
        self.context = nn.Conv2d(4 * CHANNELS * cells, widths[1], 3, padding=1)
        pairs = list(zip(widths[1:], widths[2:], strict=False))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairs)
        self.encoder = nn.ModuleList(Block(w) for w in widths[1:])
        pairs = list(zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.decoder = nn.ModuleList(Block(w) for w in widths[1:-1])
        self.gain = nn.Conv2d(widths[0], CHANNELS, 3, padding=1)
        self.correction = nn.Conv2d(widths[0], CHANNELS * cells, 3, padding=1)
        # An untrained network must change nothing.
        for head in (self.gain, self.correction):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(_bias(head))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predict how to clean pages.

        Args:
            x: (N, 1 or 3, H, W), 0 black to 1 white, H and W multiples of `config.stride`.

        Returns:
            Gain and correction, each of x's shape; `apply` puts them to use.
        """
        shuffle, grey = self.config.shuffle, x.shape[1] == 1
        # Ink is what the network looks for: paper is 0, and so are the borders that convolutions pad with.
        ink = 1 - x
        context = self._context(F.pixel_unshuffle(ink, 2 * shuffle), grey=grey)
        h = F.relu(_stem(self.stem, F.pixel_unshuffle(ink, shuffle), grey=grey) + self.up[0](context))
        for block in self.detail:
            h = block(h)
        gain = _head(self.gain, h, grey=grey)
        correction = _head(self.correction, h, grey=grey)
        return F.interpolate(gain, scale_factor=float(shuffle)), F.pixel_shuffle(correction, shuffle)

    def _context(self, x: Tensor, *, grey: bool) -> Tensor:
        h = F.relu(_stem(self.context, x, grey=grey))
        h, skips = self.encoder[0](h), []
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(h)
            h = block(down(h))
        for up, block in zip(reversed(self.up[1:]), reversed(self.decoder), strict=True):
            h = block(up(h) + skips.pop())
        return cast(Tensor, h)

    def restored(self, x: Tensor) -> Tensor:
        """The cleaned pages, float32 even under autocast; what all networks are trained by."""
        gain, correction = self(x)
        return apply(x, gain.float(), correction.float())


def apply(page: Tensor, gain: Tensor, correction: Tensor) -> Tensor:
    """The cleaned page, in 0..1, from what the network predicts for it; all of one shape."""
    return (page * (1 + gain) + correction).clamp(0, 1)


def grey_stem(weight: Tensor) -> Tensor:
    """A stem's weights (out, 3 cells, 3, 3) for one channel instead of three equal ones."""
    return torch.stack(weight.chunk(CHANNELS, 1)).sum(0)


def grey_head(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """A head's weights and bias for the mean of its three channels."""
    weight, bias = layer.weight, _bias(layer)
    return torch.stack(weight.chunk(CHANNELS)).mean(0), torch.stack(bias.chunk(CHANNELS)).mean(0)


def _stem(layer: nn.Conv2d, x: Tensor, *, grey: bool) -> Tensor:
    weight = grey_stem(layer.weight) if grey else layer.weight
    return F.conv2d(x, weight, layer.bias, padding=1)


def _head(layer: nn.Conv2d, h: Tensor, *, grey: bool) -> Tensor:
    weight, bias = grey_head(layer) if grey else (layer.weight, _bias(layer))
    return F.conv2d(h, weight, bias, padding=1)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
