"""Image files as pages, for training and scoring; archives are read by `jobs.codecs.codec`."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from model.page import Page

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


class DataFault(ValueError):
    """The data can't be used; the message names the file or folder."""


def read_page(path: Path) -> Page:
    """An image file as grey (H, W) or RGB (H, W, 3) uint8; transparent pixels are paper.

    Raises:
        DataFault: the file can't be read as an image.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("I", "F"):
                raise ValueError(f"pixels of mode {image.mode} have no known white")
            if image.mode.startswith("I;16"):  # Pillow's own conversion would cut values at 255
                return np.asarray((np.asarray(image).astype(np.uint32) + 128) // 257, np.uint8)
            grey = image.mode in ("1", "L", "LA")
            flat: Image.Image = image
            if image.has_transparency_data:
                flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(flat.convert("L" if grey else "RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise DataFault(f"{path} can't be read as an image: {error}") from error
