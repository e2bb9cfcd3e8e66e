"""The forward pass for whole pages: the numbers of `Autoencoder.forward` and `apply`, in strips of rows.

At the finest levels a page's maps are a hundred megabytes each and only a few convolutions deep. So every
level runs in strips of rows, with a halo of the rows that its convolutions see: temporaries stay in the
cache and their memory is used again, and only the skips and one map a level are ever whole. Pixels enter and
leave as integers; float32 exists one strip at a time. What can be folded into weights is folded once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.autoencoder import CHANNELS, Autoencoder, Block, grey_head, grey_stem

CELLS = 1 << 17
"""A strip's size on a CPU, in cells of its level. Smaller strips spend more on halos and calls, larger ones
on cache misses; on a GPU a level is one strip."""

_Module = TypeVar("_Module", bound=nn.Module)

_BRANCH_HALO = 2  # a block's two convolutions; halos are even, since two levels' strips meet on the same rows
_ENTRY_HALO = 4  # the stem and a block: 3
_EXIT_HALO = 4  # a block, the heads and the gain's interpolation


@dataclass(frozen=True)
class _Strip:
    """Rows top..bottom of a map, low..high with the halo."""

    top: int
    bottom: int
    low: int
    high: int

    def inner(self, x: Tensor, scale: int = 1) -> Tensor:
        """Rows top..bottom of what was computed for low..high at `scale` times the map's resolution."""
        return x[:, :, (self.top - self.low) * scale : (self.bottom - self.low) * scale]


class PageNetwork:
    """A network on a device, made ready to clean pages."""

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
        self._stems = {n: self._ready(_ink_stem(model, n)) for n in (1, CHANNELS)}
        self._heads = {n: self._ready(_joined_heads(model, n)) for n in (1, CHANNELS)}
        self._model = self._ready(model)
        self._encoder = cast("list[Block]", list(self._model.encoder))
        self._decoder = cast("list[Block]", list(self._model.decoder))

    @torch.inference_mode()
    def __call__(self, pages: Tensor) -> Tensor:
        """Clean a batch.

        Args:
            pages: (N, H, W, 1 or 3) uint8 or uint16 on the device, any size.

        Returns:
            The cleaned pages, same shape, dtype and device.
        """
        padded = _pad(pages, self._config.stride)
        x, skips = padded, []
        for level in range(len(self._config.widths) - 1):
            skip, x = self._descend(level, x)
            skips.append(skip)
        x = _block(self._encoder[-1], x)
        for level in reversed(range(1, len(skips))):
            x = self._ascend(level, x, skips.pop())
        return self._leave(x, skips.pop(), padded, torch.empty_like(pages))

    def _strips(self, height: int, width: int, halo: int) -> Iterator[_Strip]:
        rows = max(16, self._cells // width // 2 * 2)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            yield _Strip(top, bottom, max(0, top - halo), min(height, bottom + halo))

    def _descend(self, level: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """An encoder level: its result, and that at half the resolution for the next level."""
        if level == 0:
            (count, height, width), shuffle = x.shape[:3], self._config.shuffle
            height, width, halo = height // shuffle, width // shuffle, _ENTRY_HALO
        else:
            (count, _, height, width), halo = x.shape, _BRANCH_HALO
        skip = self._map(count, level, height, width)
        down = self._map(count, level + 1, height // 2, width // 2)
        for strip in self._strips(height, width, halo):
            part = self._enter(x, strip) if level == 0 else x[:, :, strip.low : strip.high]
            part = _block(self._encoder[level], part, strip, skip)
            down[:, :, strip.top // 2 : strip.bottom // 2] = self._model.down[level](part)
        return skip, down

    def _enter(self, pages: Tensor, strip: _Strip) -> Tensor:
        """The stem's map of a strip of pages."""
        shuffle, channels = self._config.shuffle, pages.shape[-1]
        count, _, width, _ = pages.shape
        pixels = pages[:, strip.low * shuffle : strip.high * shuffle]
        blocks = pixels.reshape(count, -1, shuffle, width // shuffle, shuffle * channels)
        cells = blocks.transpose(2, 3).flatten(3)
        white = torch.iinfo(pages.dtype).max
        ink = cells.float().sub_(white).mul_(-255 / white).to(self._dtype)
        stem: Tensor = self._stems[channels](ink.permute(0, 3, 1, 2))
        return stem

    def _ascend(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        """A decoder level: its result from the coarser level's and the encoder's."""
        result = torch.empty_like(skip)
        for strip in self._strips(skip.shape[2], skip.shape[3], _BRANCH_HALO):
            _block(self._decoder[level], self._join(level, x, skip, strip), strip, result)
        return result

    def _join(self, level: int, x: Tensor, skip: Tensor, strip: _Strip) -> Tensor:
        up: Tensor = self._model.up[level](x[:, :, strip.low // 2 : strip.high // 2])
        return up.add_(skip[:, :, strip.low : strip.high])

    def _leave(self, x: Tensor, skip: Tensor, padded: Tensor, result: Tensor) -> Tensor:
        """The finest decoder level and the heads, put to use on the pages."""
        shuffle, channels = self._config.shuffle, padded.shape[-1]
        height, width = result.shape[1:3]
        for strip in self._strips(skip.shape[2], skip.shape[3], _EXIT_HALO):
            h = _block(self._decoder[0], self._join(0, x, skip, strip))
            heads = self._heads[channels](_relu(h, h))
            gain, correction = heads.split([channels, channels * shuffle**2], dim=1)
            gain = strip.inner(_enlarged(gain.float(), shuffle), shuffle)
            correction = F.pixel_shuffle(strip.inner(correction), shuffle)
            rows = slice(strip.top * shuffle, min(strip.bottom * shuffle, height))
            cleaned = _cleaned(padded[:, strip.top * shuffle : strip.bottom * shuffle], gain, correction)
            result[:, rows] = cleaned[:, : rows.stop - rows.start, :width]
        return result

    def _map(self, count: int, level: int, height: int, width: int) -> Tensor:
        shape = (count, self._config.widths[level], height, width)
        return torch.empty(shape, dtype=self._dtype, device=self._device, memory_format=torch.channels_last)

    def _ready(self, module: _Module) -> _Module:
        module = module.to(self._device, self._dtype).eval()
        # torch's stubs know no memory_format for modules
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _ink_stem(model: Autoencoder, channels: int) -> nn.Conv2d:
    """The stem for ink in 0..255, with a cell's pixels in the order (row, column, channel) of memory."""
    weight = model.stem.weight.detach() if channels == CHANNELS else grey_stem(model.stem.weight.detach())
    planes = weight.reshape(weight.shape[0], channels, -1, 3, 3).transpose(1, 2).flatten(1, 2)
    return _convolution(planes / 255, model.stem.bias)


def _joined_heads(model: Autoencoder, channels: int) -> nn.Conv2d:
    """Both heads as one layer: the gain's channels, then the correction's."""
    heads = (model.gain, model.correction)
    if channels == CHANNELS:
        parts = [(head.weight, head.bias) for head in heads]
    else:
        parts = [grey_head(head) for head in heads]
    weights, biases = zip(*parts, strict=True)
    return _convolution(torch.cat(weights), torch.cat(biases))


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _pad(pages: Tensor, stride: int) -> Tensor:
    """Grow (N, H, W, C) to multiples of the stride by repeating the last row and column."""
    count, height, width, channels = pages.shape
    padded = pages.new_empty(count, height + -height % stride, width + -width % stride, channels)
    # Plain copies: they are all that torch promises for uint16.
    padded[:, :height, :width] = pages
    padded[:, :height, width:] = pages[:, :, -1:]
    padded[:, height:] = padded[:, height - 1 : height]
    return padded


def _block(block: Block, x: Tensor, strip: _Strip | None = None, into: Tensor | None = None) -> Tensor:
    """`Block.forward` with fewer temporaries; with a strip, its rows alone, put into a whole map."""
    inside = block.first(_relu(x))
    change: Tensor = block.second(_relu(inside, inside))
    if strip is None or into is None:
        return change.add_(x)
    return torch.add(strip.inner(change), strip.inner(x), out=into[:, :, strip.top : strip.bottom])


def _relu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """ReLU; for bfloat16 on its bits as an integer, whose sign is the number's: twice as fast on CPUs."""
    if x.dtype != torch.bfloat16:
        return torch.clamp_min(x, 0, out=out)
    bits = None if out is None else out.view(torch.int16)
    return torch.clamp_min(x.view(torch.int16), 0, out=bits).view(torch.bfloat16)


def _enlarged(gain: Tensor, scale: int) -> Tensor:
    """(N, C, h, w) to (N, C, h scale, w scale), plane by plane: several times faster than all at once."""
    planes = gain.flatten(0, 1).unsqueeze(1).contiguous()
    large = F.interpolate(planes, scale_factor=float(scale), mode="bilinear", align_corners=False)
    return large.view(*gain.shape[:2], *large.shape[2:])


def _cleaned(pages: Tensor, gain: Tensor, correction: Tensor) -> Tensor:
    """`autoencoder.apply` for (N, H, W, C) integers; the predictions are (N, C, H, W), gain is used up."""
    white = torch.iinfo(pages.dtype).max
    x = pages.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    cleaned = gain.mul_(x).add_(x).add_(correction, alpha=white).round_().clamp_(0, white)
    return cleaned.to(pages.dtype).permute(0, 2, 3, 1)
