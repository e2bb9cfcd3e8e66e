"""What a job on a cluster has to do, in words that mean the same there as here."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.config import CleanOptions
from jobs.errors import InputError
from jobs.remote.package import MODEL_NAME
from jobs.stores.open import open_store
from model.shipped import CLEANER

SETTINGS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")
"""They name the service behind s3://, so they travel; credentials never do."""

METADATA = "pumice"
"""The key in Ray's metadata that holds the work of a job."""


@dataclass(frozen=True)
class Work:
    """What a job has to do; two jobs with equal work are one.

    Attributes:
        source, destination: addresses that the cluster's machines understand.
        options: as words of the command line of `pumice clean`.
        weights: the sha256 of the weights.
        settings: environment variables that travel.
    """

    source: str
    destination: str
    options: tuple[str, ...]
    weights: str
    settings: Mapping[str, str]

    @staticmethod
    def of(source: str, destination: str, options: CleanOptions, weights: str, *, join: bool) -> "Work":
        """The work that `pumice clean` with these arguments would do.

        Raises:
            InputError: a place is a relative path, which means something else on another machine.
        """
        words = (*_words(options), *(["--join"] if join else []))
        settings = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
        return Work(_elsewhere(source), _elsewhere(destination), words, weights, settings)

    @staticmethod
    def from_metadata(metadata: Mapping[str, str]) -> "Work | None":
        """The work of a job with this metadata; None if it is no job of Pumice."""
        try:
            told = json.loads(metadata[METADATA])
            places, options = (str(told["source"]), str(told["destination"])), map(str, told["options"])
            return Work(*places, tuple(options), str(told["weights"]), dict(told["settings"]))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def told(self) -> str:
        """The work as one line, for Ray's metadata."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def stem(self) -> str:
        """The beginning of the ids of all jobs for this destination."""
        return f"pumice-{hashlib.sha256(self.destination.encode()).hexdigest()[:12]}-"

    @property
    def entrypoint(self) -> str:
        """The command that Ray's head runs, in a shell, in the folder of the package."""
        places = ("python", "-m", "jobs", "clean", self.source, self.destination)
        return shlex.join((*places, "--address", "auto", *self.options))

    def number(self, job_id: str) -> int:
        """The number in the id of a job for this destination; 0 in other ids."""
        found = re.fullmatch(f"{self.stem}([0-9]{{1,9}})", job_id)
        return int(found[1]) if found else 0


def _words(options: CleanOptions) -> list[str]:
    """Options other than the defaults, as words; the cluster and the weights are passed in other ways."""
    words = ["--model", MODEL_NAME] if options.model != CLEANER else []
    for name, value in options.model_dump(exclude={"model", "address"}, exclude_defaults=True).items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return words


def _elsewhere(place: str) -> str:
    url = open_store(place).url
    if place.startswith("s3://"):
        return url
    if not Path(place).is_absolute():
        raise InputError(
            f"{place} is relative to a folder of this machine: give s3://bucket/prefix, or the absolute path "
            "of a folder that all of the cluster's machines have."
        )
    return os.path.normpath(place)
