"""The nouns of the codecs, and the one place that knows how Pillow fails."""

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from jobs.codecs.tiff import Tag
from jobs.errors import PageError

MAX_FRAME_BYTES = 512 << 20

# What broken files make Pillow raise, collected by fuzzing and from its issues; it has no common base.
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# Pillow's own cap is an error at twice this value. Ours is checked first and is in bytes; this remains as a
# net below it for sizes that a file reveals late.
Image.MAX_IMAGE_PIXELS = MAX_FRAME_BYTES // 2
# A broken scan becomes a row of the report; Pillow's remarks on it are noise on the user's terminal.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
_HUSHED = ("ignore", None, Warning, re.compile(r"PIL(\.|$)"), 0)


@dataclass(frozen=True)
class FrameInfo:
    """One frame as its header describes it.

    Attributes:
        width: pixels across, as stored (an orientation tag turns nothing here).
        height: pixels down.
        mode: the file's own mode in Pillow's words: "1", "L", "LA", "P", "RGB", "RGBA", "I;16", …
        bit_depth: bits per sample in the file.
        dpi: dots per inch across and down; None when the file doesn't say.
        cost: bytes that the decoded pixels need.
        refused: why `decode` will refuse this frame; `inspect` sets it in multi-page documents only.
    """

    width: int
    height: int
    mode: str
    bit_depth: int
    dpi: tuple[float, float] | None
    cost: int
    refused: PageError | None = None


@dataclass(frozen=True)
class Document:
    """A file's frames; `offsets` is where TIFF keeps each one."""

    format: str
    frames: tuple[FrameInfo, ...]
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Carry:
    """What `encode` needs, besides pixels, to give the same file back.

    Attributes:
        format: as `sniff` names it.
        mode: the mode to write.
        grey: a colour file without colour: pixels came as (H, W).
        alpha: uint8 (H, W), or None.
        options: for Pillow's `save`.
        metadata: chunks, segments or boxes, byte for byte: text, EXIF, XMP, ICC, density.
        tags: TIFF's metadata.
        inverted: TIFF's WhiteIsZero: samples are stored as the negative.
    """

    format: str
    mode: str
    grey: bool = False
    alpha: NDArray[np.uint8] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    metadata: tuple[bytes, ...] = ()
    tags: tuple[Tag, ...] = ()
    inverted: bool = False


@dataclass(frozen=True, eq=False)
class Page:
    """Decoded pixels.

    Attributes:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB, or uint16 (H, W); black is 0.
        info: the frame's header.
        carry: for `encode`.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    info: FrameInfo
    carry: Carry


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn whatever Pillow raises into PageError("unreadable" or "too_large"), and keep its warnings back."""
    # `warnings.catch_warnings` isn't safe with threads; a filter that is put in once and stays is.
    if _HUSHED not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
    try:
        yield
    except Image.DecompressionBombError as error:
        raise PageError("too_large", "The image has more pixels than Pumice decodes.") from error
    except UnidentifiedImageError as error:
        raise PageError("unreadable", f"The image can't be {doing}: its header is damaged.") from error
    except BROKEN as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise PageError("unreadable", f"The image can't be {doing}: {detail}.") from error
