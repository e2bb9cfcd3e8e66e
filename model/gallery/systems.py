"""The article's systems by name, and what they learn from.

This module imports no torch: the command line shows the names in its help.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path


class Data(Enum):
    """What a system learns from."""

    GARMENTS = "Fashion-MNIST"
    PAIRS = "pairs of pages"


SYSTEMS: Mapping[str, Data] = {
    "traditional": Data.GARMENTS,
    "denoising": Data.GARMENTS,
    "sparse": Data.GARMENTS,
    "contractive": Data.GARMENTS,
    "text": Data.PAIRS,
    "variational": Data.GARMENTS,
    "papers": Data.PAIRS,
}
"""In the article's order."""

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files of Fashion-MNIST."""
