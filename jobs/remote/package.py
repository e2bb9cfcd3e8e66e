"""What travels to a cluster: this very Pumice, and the weights that the user gave; one small zip.

Ray unpacks it on every machine that works for the job, as its working directory and at the front of Python's
path, so that it comes before a Pumice that the cluster's image has. What Pumice needs (PyTorch, OpenCV,
Arrow, boto3) is the image's. The zip is the same bytes for the same content, so its name tells whether the
cluster has it already.
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
"""What runs and what is loaded: no pages, no documentation, nothing of a checkout beside the packages."""

MODEL_NAME = "submitted.safetensors"
"""Where the user's weights lie in the package, which is the job's working directory."""

CAP_BYTES = 100 * 2**20
"""The largest request that Ray's head takes."""


@dataclass(frozen=True)
class Package:
    """A zip that a cluster runs Pumice from; `name` is Ray's for its bytes."""

    data: bytes

    @property
    def name(self) -> str:
        """The same for the same content."""
        return f"_ray_pkg_{hashlib.sha256(self.data).hexdigest()[:40]}.zip"


def make_package(weights: Path) -> Package:
    """Pack what a job needs.

    Args:
        weights: what it cleans with; they travel of themselves where they are the shipped ones.

    Raises:
        InputError: the weights are too large to travel.
    """
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        for name, data in _content(weights):
            # ZipInfo's own date is the same for all; weights don't get smaller.
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
    # What runs asks for the version of the package "pumice", which the image may have in another one, or not.
    told = f"Metadata-Version: 2.1\nName: pumice\nVersion: {version('pumice')}\n"
    yield f"pumice-{version('pumice')}.dist-info/METADATA", told.encode()
    if weights != CLEANER:
        yield MODEL_NAME, weights.read_bytes()
