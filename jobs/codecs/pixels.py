"""Pillow images to arrays for the network, and back to images in the file's own mode."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.codecs.types import Carry, FrameInfo
from jobs.errors import PageError
from model.page import Pixels, black_and_white

# Bytes for each pixel of the decoded page, with alpha. Other modes are not supported: CMYK and Lab
# have no ink that the network knows, and the white of 32-bit samples is not known.
BYTES = {"1": 1, "L": 1, "LA": 2, "P": 3, "RGB": 3, "RGBA": 4, "I;16": 2}
_BYTE = 8
_COLOURS = 256
_OPAQUE = 128


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels, the image's mode, whether a colour image has no colour, and its alpha, uint8 (H, W)."""

    pixels: Pixels
    mode: str
    grey: bool = False
    alpha: NDArray[np.uint8] | None = None


def check_mode(mode: str, bit_depth: int) -> None:
    """Refuse modes that can't be written again.

    Raises:
        PageError: unsupported_mode.
    """
    deep = bit_depth > _BYTE and mode != "I;16"
    if mode not in BYTES or deep or (mode == "I;16" and bit_depth != 2 * _BYTE):
        depth = f", {bit_depth} bits a sample" if bit_depth > _BYTE else ""
        raise PageError(
            "unsupported_mode", f"Pages of mode {mode}{depth} aren't cleaned; grey, black and white, RGB are."
        )


def to_pixels(image: Image.Image, info: FrameInfo) -> Decoded:
    """The pixels of a loaded image.

    Returns:
        Grey (H, W) uint8 (1-bit: 0 and 255) or uint16, or RGB (H, W, 3) uint8; RGB without colour is (H, W).
    """
    if image.mode == "P" or (image.mode == "L" and image.format == "GIF" and "transparency" in image.info):
        return _from_palette(image)
    if image.mode == "1":
        return Decoded(np.asarray(image.convert("L")), "1")
    if info.mode == "I;16":
        return Decoded(np.asarray(image).astype(np.uint16, copy=False), "I;16")
    check_mode(image.mode, _BYTE)
    array = np.asarray(image)
    if image.mode == "L":
        return Decoded(array, "L")
    if image.mode == "LA":
        return Decoded(np.ascontiguousarray(array[..., 0]), "LA", alpha=array[..., 1].copy())
    alpha = array[..., 3].copy() if image.mode == "RGBA" else None
    pixels, grey = _without_colour(array[..., :3])
    return Decoded(pixels, image.mode, grey, alpha)


def _without_colour(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """The pixels and True as (H, W) if all three channels are equal: a third of the network's work."""
    # The first line is nearly always enough: colour scans have noise in every line.
    for part in (rgb[:1], rgb):
        if not (np.array_equal(part[..., 0], part[..., 1]) and np.array_equal(part[..., 0], part[..., 2])):
            return np.ascontiguousarray(rgb), False
    return np.ascontiguousarray(rgb[..., 0]), True


def _from_palette(image: Image.Image) -> Decoded:
    transparent = "transparency" in image.info or (image.palette is not None and image.palette.mode == "RGBA")
    array = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    pixels, grey = _without_colour(array[..., :3])
    return Decoded(pixels, "P", grey, array[..., 3].copy() if transparent else None)


def to_image(pixels: Pixels, carry: Carry) -> Image.Image:
    """Make the image that is written, in the source's mode.

    Args:
        pixels: of the shape and dtype that `to_pixels` returned.
        carry: the page's.

    Returns:
        The image; of mode P with `info["transparency"]` if the source had it.
    """
    if carry.mode == "1":
        return Image.fromarray(black_and_white(pixels).astype(bool) ^ carry.inverted)
    if carry.inverted:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if carry.mode in ("L", "I;16"):
        return Image.fromarray(np.ascontiguousarray(pixels))
    eight = cast("NDArray[np.uint8]", pixels)
    if carry.mode == "P":
        return _to_palette(eight, carry)
    bands = [Image.fromarray(np.ascontiguousarray(eight))] if carry.grey or carry.mode == "LA" else []
    if bands and carry.mode != "LA":
        bands = bands * 3
    if not bands and carry.alpha is None:
        return Image.fromarray(np.ascontiguousarray(eight))
    bands = bands or list(Image.fromarray(np.ascontiguousarray(eight)).split())
    if carry.alpha is not None:
        bands.append(Image.fromarray(carry.alpha))
    return Image.merge(carry.mode, bands)


def _to_palette(pixels: NDArray[np.uint8], carry: Carry) -> Image.Image:
    """Index the colours: up to 256 exactly; more by the nearest of 256, without dither."""
    if pixels.ndim == 2 and carry.alpha is None:  # noqa: PLR2004 - (H, W)
        used = np.flatnonzero(np.bincount(pixels.ravel(), minlength=_COLOURS)).astype(np.uint8)
        table = np.zeros(_COLOURS, np.uint8)
        table[used] = np.arange(len(used), dtype=np.uint8)
        return _indexed(table[pixels], np.repeat(used, 3).reshape(-1, 3))
    rgb = pixels if pixels.ndim > 2 else np.repeat(pixels[..., None], 3, axis=2)  # noqa: PLR2004 - (H, W, 3)
    alpha = np.full(rgb.shape[:2], 255, np.uint8) if carry.alpha is None else carry.alpha
    if carry.format == "GIF":
        alpha = np.where(alpha >= _OPAQUE, 255, 0).astype(np.uint8)
    rgba = np.dstack([np.where(alpha[..., None] > 0, rgb, 0), alpha])
    colours, where = np.unique(rgba.view("<u4")[..., 0], return_inverse=True)
    palette = colours.astype("<u4").view(np.uint8).reshape(-1, 4)
    indices = where.reshape(rgba.shape[:2])
    if len(palette) > _COLOURS:
        image = _quantized(rgba, opaque=carry.alpha is None)
        palette = np.asarray(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
        indices = np.asarray(image)
    result = _indexed(indices.astype(np.uint8), palette[:, :3])
    if carry.alpha is not None:
        result.info["transparency"] = _transparency(palette[:, 3], carry.format)
    return result


def _quantized(rgba: NDArray[np.uint8], *, opaque: bool) -> Image.Image:
    if opaque:
        rgb = Image.fromarray(np.ascontiguousarray(rgba[..., :3]))
        return rgb.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return Image.fromarray(rgba).quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _transparency(alpha: NDArray[np.uint8], format_: str) -> bytes | int:
    """Alpha in the form of PNG (a byte for each colour) or GIF (one transparent index; 255 for none)."""
    if format_ == "GIF":
        return int(np.argmin(alpha)) if alpha.min() < _OPAQUE else 255
    return alpha.tobytes()


def as_encoded(pixels: Pixels, mode: str) -> Pixels:
    """Cleaned pixels as a file of this mode will have them: those of a 1-bit page become 0 and 255."""
    return black_and_white(pixels) if mode == "1" else pixels


def _indexed(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(indices))
    image.putpalette(palette.tobytes())
    return image
