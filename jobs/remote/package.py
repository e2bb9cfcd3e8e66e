"""What travels to a cluster: the code of this Pumice and the user's weights, as one small zip.

Ray unpacks it on every machine that works for the job, as the working directory and at the front of Python's
path, so it comes before a Pumice in the cluster's image. The dependencies (PyTorch, OpenCV, Arrow, boto3) are
the image's. Equal content gives equal bytes, so the name of the zip tells whether the cluster already has it.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import jobs
import model
from jobs.errors import InputError
from model.shipped import CLEANER

WEIGHTS = ".safetensors"
SUFFIXES = frozenset({".py", ".json", WEIGHTS})
"""Code and what it loads: no pages, no documentation, nothing else of a checkout."""

MODEL_NAME = "submitted.safetensors"
"""The path of the user's weights in the package, which is the job's working directory."""

CAP_BYTES = 100 * 2**20
"""The largest request that Ray's head accepts."""


@dataclass(frozen=True)
class Package:
    """A zip from which a cluster runs Pumice."""

    data: bytes

    @property
    def name(self) -> str:
        """Ray's name for a package with these bytes."""
        return f"_ray_pkg_{hashlib.sha256(self.data).hexdigest()[:40]}.zip"


def make_package(weights: Path) -> Package:
    """Pack what a job needs.

    Args:
        weights: the file to clean with; the shipped one is part of the code.

    Raises:
        InputError: the weights are too large to travel.
    """
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        for name, data in _content(weights):
            # ZipInfo's default date is constant. Weights do not compress.
            archive.writestr(ZipInfo(name), data, ZIP_STORED if name.endswith(WEIGHTS) else ZIP_DEFLATED)
    package = Package(content.getvalue())
    if len(package.data) > CAP_BYTES:
        raise InputError(
            f"The weights {weights} make a package of {len(package.data) >> 20} MiB, and Ray takes "
            f"{CAP_BYTES >> 20} MiB: give smaller ones."
        )
    return package


def _content(weights: Path) -> Iterator[tuple[str, bytes]]:
    for module in (jobs, model):
        assert module.__file__ is not None
        folder = Path(module.__file__).parent
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield f"{folder.name}/{path.relative_to(folder).as_posix()}", path.read_bytes()
    # The code asks for the version of the package "pumice". The image may have none, or another version.
    told = f"Metadata-Version: 2.1\nName: pumice\nVersion: {version('pumice')}\n"
    yield f"pumice-{version('pumice')}.dist-info/METADATA", told.encode()
    if weights != CLEANER:
        yield MODEL_NAME, weights.read_bytes()
