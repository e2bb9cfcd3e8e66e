"""IDX files, the format of MNIST and of Fashion-MNIST (yann.lecun.com/exdb/mnist), gzipped.

A file has two zero bytes, the type (8 for bytes), the number of axes, their lengths as big-endian 32-bit
numbers, and the data. Files are untrusted: their declared size is checked before memory is allocated.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.images import DataFault

MAX_BYTES = 256 * 2**20
_BYTES = 8


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an array of bytes with this number of axes.

    Raises:
        DataFault: the file is missing, no gzip, no such IDX file, too large, too short or too long.
    """
    try:
        with gzip.open(path) as file:
            head = file.read(4)
            if head != bytes((0, 0, _BYTES, axes)):
                raise DataFault(f"{path} is no IDX file of bytes with {axes} axes")
            shape = struct.unpack(f">{axes}I", file.read(4 * axes))
            size = math.prod(shape)
            if not 0 < size <= MAX_BYTES:
                raise DataFault(f"{path} declares {size} bytes; Pumice reads 1 to {MAX_BYTES}")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataFault(f"{path} can't be read as a gzipped IDX file: {error}") from error
    if len(content) != size:
        kept = "less" if len(content) < size else "more"
        raise DataFault(f"{path} holds {kept} than the {size} bytes it declares")
    return np.frombuffer(content, np.uint8).reshape(shape)
