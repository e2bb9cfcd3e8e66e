"""The types of the codecs, and the translation of Pillow's errors."""

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

# What Pillow raises for broken files, found by fuzzing and in its issues; there is no common base class.
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

# Pillow raises an error at twice this value. Our limit, in bytes, is checked first; this one is for sizes
# that become known only while a file is decoded.
Image.MAX_IMAGE_PIXELS = MAX_FRAME_BYTES // 2
# A broken scan gets a row in the report; Pillow's messages about it would only fill the user's terminal.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
_HUSHED = ("ignore", None, Warning, re.compile(r"PIL(\.|$)"), 0)


@dataclass(frozen=True)
class FrameInfo:
    """One frame as its header describes it.

    Attributes:
        width: in pixels, as stored, without regard to an orientation tag.
        height: in pixels.
        mode: the file's own mode by Pillow's name: "1", "L", "LA", "P", "RGB", "RGBA", "I;16", …
        bit_depth: bits per sample in the file.
        dpi: dots per inch, horizontal and vertical; None if the file doesn't say.
        cost: bytes of the decoded pixels.
        refused: why `decode` will refuse this frame; `inspect` sets it only in documents of several pages.
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
    """A file's frames; `offsets` are those of a TIFF's directories."""

    format: str
    frames: tuple[FrameInfo, ...]
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Carry:
    """What `encode` needs, besides pixels, to write the same kind of file.

    Attributes:
        format: as `sniff` names it.
        mode: the mode to write.
        grey: whether it is a colour file without colour, whose pixels are (H, W).
        alpha: uint8 (H, W), or None.
        options: for Pillow's `save`.
        metadata: chunks, segments or boxes, byte for byte: text, EXIF, XMP, ICC, density.
        tags: TIFF's metadata.
        inverted: whether samples are stored as the negative (TIFF's WhiteIsZero).
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
    """A decoded page.

    Attributes:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB, or uint16 (H, W); 0 is black.
        info: the frame's header.
        carry: for `encode`.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    info: FrameInfo
    carry: Carry


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Raise Pillow's errors as PageError("unreadable" or "too_large"), and suppress its warnings."""
    # `warnings.catch_warnings` isn't thread-safe; a filter that is set once is.
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
