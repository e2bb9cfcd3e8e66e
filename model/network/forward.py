"""The forward pass for whole pages: the numbers of `Autoencoder.predicted`, cut to 0..1, in strips of rows.

At the finest levels a page's maps take a hundred megabytes each, and only a few convolutions follow each
other. So every level runs in strips of rows, with a halo of the rows that its convolutions see: temporaries
stay in the cache and their memory is used again. Pixels enter and leave as integers, as cells of the
unshuffled page; float32 exists one strip at a time. Scales and offsets are folded into the weights once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from model.cells import cells_of, cleaned_cells, pad, rows_of
from model.network.autoencoder import Autoencoder, is_large
from model.network.convolve import convolve
from model.network.ends import CHANNELS, Ends, bias_of, grey_head, grey_stem

CELLS = 1 << 17
"""A strip's size on a CPU, in cells of its level. Smaller strips spend more on halos and calls, larger ones
on cache misses; on a GPU a level is one strip."""

_Module = TypeVar("_Module", bound=nn.Module)

_BLOCK_HALO = 2  # two convolutions a block; halos are even, since two levels' strips meet on the same rows
_STEM_HALO = 2  # 1, and even


@dataclass(frozen=True)
class _Strip:
    """Rows top..bottom of a map, low..high with the halo."""

    top: int
    bottom: int
    low: int
    high: int

    def inner(self, x: Tensor) -> Tensor:
        """Rows top..bottom of what was computed for low..high."""
        return x[:, :, self.top - self.low : self.bottom - self.low]


@dataclass(frozen=True)
class _ReadyEnds:
    """`Ends` for integers; each layer by the pages' channels."""

    cell: int
    stems: dict[int, nn.Conv2d]
    contexts: dict[int, nn.Conv2d]
    heads: dict[int, nn.Conv2d]


class PageNetwork:
    """A network on a device, made ready to clean pages. Not thread-safe.

    On a CPU its maps are kept for the next page: fresh memory costs a page fault each four kilobytes.
    """

    def __init__(self, model: Autoencoder, device: torch.device, dtype: torch.dtype) -> None:
        """Fold the weights and move them; the network is taken over, use it for nothing else.

        Args:
            model: float32, on the CPU.
            device: where pages will be cleaned.
            dtype: of weights and maps; the pixels themselves are changed in float32.
        """
        self._config = model.config
        self._device, self._dtype = device, dtype
        self._cells = CELLS if device.type == "cpu" else 1 << 40
        self._ends = {cell: self._ends_of(model.ends_for(cell)) for cell in model.config.cells}
        self._model = self._ready(model)
        self._maps: dict[tuple[str, int], Tensor] = {}

    def _ends_of(self, ends: Ends) -> _ReadyEnds:
        kinds = (1, CHANNELS)
        return _ReadyEnds(
            ends.cell,
            {n: self._ready(_ink_stem(ends.stem, n)) for n in kinds},
            {n: self._ready(_ink_stem(ends.context, n)) for n in kinds},
            {n: self._ready(_joined_heads(ends, n)) for n in kinds},
        )

    @torch.inference_mode()
    def __call__(self, pages: Tensor, large: bool | None = None) -> Tensor:
        """Clean a batch.

        Args:
            pages: (N, H, W, 1 or 3) uint8 or uint16 on the device, any size.
            large: whether they are parts of large pages; by their own size if it is None.

        Returns:
            The cleaned pages, same shape, dtype and device.
        """
        if large is None:
            large = is_large(*pages.shape[1:3])
        ends, padded = self._ends[self._config.cell(large)], pad(pages, self._config.stride(large))
        x, skips = self._enter(ends, padded), []
        for level in range(1, len(self._model.encoder)):
            skips.append(x)
            x = self._descend(level, x)
        for level in reversed(range(len(skips))):
            x = self._ascend(level, x, skips.pop())
        return self._leave(ends, x, padded, torch.empty_like(pages))

    def _strips(self, size: Sequence[int], halo: int) -> Iterator[_Strip]:
        """A map of (height, width) cells in strips."""
        height, width = size
        rows = max(16, self._cells // width // 2 * 2)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            yield _Strip(top, bottom, max(0, top - halo), min(height, bottom + halo))

    def _enter(self, ends: _ReadyEnds, pages: Tensor) -> Tensor:
        """The context's first level, from pages."""
        cell = 2 * ends.cell
        result = self._map("encoded", 0, pages.shape[0], *(side // cell for side in pages.shape[1:3]))
        for strip in self._strips(result.shape[2:], self._halo(0) + _STEM_HALO):
            h = self._stem(ends.contexts, pages, strip, cell)
            result[:, :, strip.top : strip.bottom] = strip.inner(self._model.encoder[0](h))
        return result

    def _descend(self, level: int, x: Tensor) -> Tensor:
        """A level of the context's encoder, from the finer one's result."""
        result = self._map("encoded", level, x.shape[0], x.shape[2] // 2, x.shape[3] // 2)
        for strip in self._strips(result.shape[2:], self._halo(level)):
            h = self._model.down[level - 1](x[:, :, 2 * strip.low : 2 * strip.high])
            result[:, :, strip.top : strip.bottom] = strip.inner(self._model.encoder[level](h))
        return result

    def _halo(self, level: int) -> int:
        """Rows that a level of the context's blocks see beyond their own."""
        return _BLOCK_HALO * self._config.blocks[level + 1]

    def _ascend(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        """A level of the context's decoder: its result from the coarser level's and the encoder's."""
        result = self._map("decoded", level, skip.shape[0], *skip.shape[2:])
        for strip in self._strips(skip.shape[2:], self._halo(level)):
            h = self._up(level + 1, x, strip).add_(skip[:, :, strip.low : strip.high])
            result[:, :, strip.top : strip.bottom] = strip.inner(self._model.decoder[level](h))
        return result

    def _up(self, level: int, x: Tensor, strip: _Strip) -> Tensor:
        up: Tensor = self._model.up[level](x[:, :, strip.low // 2 : strip.high // 2])
        return up

    def _leave(self, ends: _ReadyEnds, x: Tensor, pages: Tensor, result: Tensor) -> Tensor:
        """The detail branch and the heads, put to use on the pages."""
        (height, width), channels, cell = result.shape[1:3], pages.shape[-1], ends.cell
        halo = _STEM_HALO + _BLOCK_HALO * self._config.blocks[0]  # the heads see as far as the stem: 1 each
        for strip in self._strips((pages.shape[1] // cell, pages.shape[2] // cell), halo):
            if strip.top * cell >= height:
                break  # nothing but padding
            h = self._stem(ends.stems, pages, strip, cell, self._up(0, x, strip))
            heads = strip.inner(convolve(ends.heads[channels], self._model.detail(h))).permute(0, 2, 3, 1)
            cells = cells_of(pages, strip.top, strip.bottom, cell)
            cleaned = cleaned_cells(cells, heads[..., :channels], heads[..., channels:])
            rows = rows_of(cleaned, cell)
            bottom = min(strip.bottom * cell, height)
            result[:, strip.top * cell : bottom] = rows[:, : bottom - strip.top * cell, :width]
        return result

    def _stem(
        self,
        stems: dict[int, nn.Conv2d],
        pages: Tensor,
        strip: _Strip,
        cell: int,
        context: Tensor | None = None,
    ) -> Tensor:
        """The first convolution of a branch for a strip of its cells, plus the context, through the ReLU."""
        ink = cells_of(pages, strip.low, strip.high, cell)
        white = torch.iinfo(pages.dtype).max
        if white > 255:  # noqa: PLR2004
            ink = ink.float().sub_(white).mul_(-255 / white).to(self._dtype)
        else:  # whole numbers up to 256 are exact in bfloat16
            ink = ink.bitwise_not().to(self._dtype)
        planes = ink.flatten(3).permute(0, 3, 1, 2)
        return convolve(stems[pages.shape[-1]], planes, relu=True, shortcut=context)

    def _map(self, name: str, level: int, *size: int) -> Tensor:
        """What `name` has at this level, for (N, H, W); whatever the last page left in it."""
        count, height, width = size
        shape = (count, self._config.widths[level + 1], height, width)
        kept = self._maps.get((name, level))
        if kept is None or kept.shape != shape:
            self._maps.pop((name, level), None)
            kept = torch.empty(
                shape, dtype=self._dtype, device=self._device, memory_format=torch.channels_last
            )
            if self._device.type == "cpu":  # a GPU's allocator keeps memory itself, and it can run out
                self._maps[name, level] = kept
        return kept

    def _ready(self, module: _Module) -> _Module:
        module = module.to(self._device, self._dtype).eval()
        # torch's stubs know no memory_format for modules
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _ink_stem(stem: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A stem for ink in 0..255, with a cell's pixels in the order of `cells_of`."""
    weight = stem.weight.detach() if channels == CHANNELS else grey_stem(stem.weight.detach())
    planes = weight.reshape(weight.shape[0], channels, -1, 3, 3).transpose(1, 2).flatten(1, 2)
    return _convolution(planes / 255, stem.bias)


def _joined_heads(ends: Ends, channels: int) -> nn.Conv2d:
    """Both heads as one layer: the gain's channels, then the correction's as `cleaned_cells` wants it."""
    heads = (ends.gain, ends.correction)
    if channels == CHANNELS:
        (gain, gain_bias), (correction, bias) = ((head.weight, bias_of(head)) for head in heads)
    else:
        (gain, gain_bias), (correction, bias) = (grey_head(head) for head in heads)
    correction = correction.reshape(channels, -1, *correction.shape[1:]).transpose(0, 1).flatten(0, 1)
    bias = bias.reshape(channels, -1).T.flatten()
    return _convolution(torch.cat([gain, 255 * correction]), torch.cat([gain_bias, 255 * bias]))


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
