"""What a run is asked to do: options, the recipe they amount to, and the limits that keep it bounded."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from jobs.errors import InputError
from model.page import TILE
from model.shipped import CLEANER

OUTPUT_VERSION = 10
"""Raised whenever new code, or another guard, gives other bytes for the same page and weights."""

MIB = 2**20

Device = Literal["auto", "cpu", "cuda"]
RecipeChanged = Literal["keep", "redo"]
OnSuspicion = Literal["flag", "keep-original", "blend"]


@dataclass(frozen=True)
class Limits:
    """Bounds of one shard in work.

    The first two bound memory only. The others decide which pages are passed through, so that changing
    their defaults changes what is in the destination: raise OUTPUT_VERSION with them.

    Attributes:
        window_bytes: pages of a shard that are decoded, cleaned or encoded at the same time, in bytes.
        kept_bytes: members that are no pages and no larger are carried along, larger ones wait their turn.
        member_bytes: pages in larger files are passed through.
        nested_bytes: archives in archives that are larger are passed through.
        depth: how deep archives in archives are opened; 0 opens none.
    """

    window_bytes: int = 256 * MIB
    kept_bytes: int = 1 * MIB
    member_bytes: int = 512 * MIB
    nested_bytes: int = 8192 * MIB
    depth: int = 3


@dataclass(frozen=True)
class CleanOptions:
    """Everything that `pumice clean` can be told besides source and destination; also job.toml's keys.

    Attributes:
        model: the weights to clean with.
        device: where the network runs; auto takes GPUs where the cluster has some.
        address: a Ray cluster to join; None starts Ray on this machine.
        gpus_per_actor: the share of a GPU that one cleaner takes.
        also_cpu: cleaners run on the cores, too, that those on GPUs leave; their results may differ by a few
            grey levels from what a GPU gives.
        max_attempts: tries at one shard before it is quarantined.
        shard_timeout: seconds without any progress after which an attempt is ended.
        max_failed_pages: the share of a shard's pages that may fail before that is held for a fault of the
            storage or the weights, and the attempt for failed; not where they are few.
        recipe_changed: whether results of another recipe, as of older weights, are kept or done again.
        on_suspicion: what becomes of a page that the guard suspects of lost or invented ink, besides being
            flagged: nothing; its original stays; or strokes that were lost come back into the cleaned page.
    """

    model: Path = CLEANER
    device: Device = "auto"
    address: str | None = None
    gpus_per_actor: float = 1.0
    also_cpu: bool = False
    max_attempts: int = 3
    shard_timeout: float = 900.0
    max_failed_pages: float = 0.5
    recipe_changed: RecipeChanged = "keep"
    on_suspicion: OnSuspicion = "flag"

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise InputError(f"device {self.device!r} is unknown: use auto, cpu or cuda.")
        if self.also_cpu and self.device == "cpu":
            raise InputError("also-cpu adds CPU cores to GPUs, and device is cpu: leave one of them out.")
        if self.recipe_changed not in get_args(RecipeChanged):
            raise InputError(f"recipe-changed {self.recipe_changed!r} is unknown: use keep or redo.")
        if self.on_suspicion not in get_args(OnSuspicion):
            words = "use flag, keep-original or blend"
            raise InputError(f"on-suspicion {self.on_suspicion!r} is unknown: {words}.")
        if not 0 < self.gpus_per_actor <= 1:
            raise InputError(f"gpus-per-actor is {self.gpus_per_actor}: use a share above 0 and up to 1.")
        if self.shard_timeout <= 0:
            raise InputError(f"shard-timeout is {self.shard_timeout}: use a number of seconds above 0.")
        if not 0 <= self.max_failed_pages <= 1:
            raise InputError(f"max-failed-pages is {self.max_failed_pages}: use a share from 0 to 1.")
        if self.max_attempts < 1:
            raise InputError(f"max-attempts is {self.max_attempts}: use 1 or more.")

    def recipe(self, weights_sha256: str) -> "Recipe":
        """What these options and weights amount to."""
        return Recipe(weights_sha256, self.on_suspicion, devices="mixed" if self.also_cpu else "alike")


@dataclass(frozen=True)
class Recipe:
    """What decides a page's output bytes besides the page itself.

    `devices` says whether one run cleans on devices of one kind, or may mix GPUs and CPUs, whose results
    differ by a few grey levels: then nobody can tell which of both a page will get.
    """

    weights_sha256: str
    on_suspicion: OnSuspicion = "flag"
    tile: int = TILE
    output_version: int = OUTPUT_VERSION
    devices: Literal["alike", "mixed"] = "alike"

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with anything that changes output bytes."""
        told = asdict(self)
        if self.devices == "alike":
            del told["devices"]  # results from before there was a choice are of this recipe
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_options(path: Path | None, given: dict[str, Any]) -> CleanOptions:
    """Options from a TOML file, with those given on the command line on top.

    Args:
        path: a file whose keys are CleanOptions' fields, `-` and `_` alike; None for none.
        given: fields that were given explicitly.

    Raises:
        InputError: no such file, no TOML, an unknown key, a value of the wrong type or range.
    """
    options = CleanOptions()
    if path is not None:
        options = _with(options, _read_toml(path), str(path))
    return _with(options, given, "The command line")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise InputError(f"The file {path} of --config can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The file {path} of --config is no TOML: {error}.") from error
    table = {key.replace("-", "_"): value for key, value in table.items()}
    if isinstance(table.get("model"), str):
        table["model"] = path.parent / cast(str, table["model"])
    return table


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "also_cpu": (bool, "true or false"),
    "gpus_per_actor": ((int, float), "a number"),
    "max_failed_pages": ((int, float), "a share from 0 to 1"),
    "shard_timeout": ((int, float), "a number of seconds"),
    "max_attempts": (int, "a whole number"),
    "model": (Path, "the path of a file"),
}


def _with(options: CleanOptions, values: dict[str, Any], where: str) -> CleanOptions:
    known = {field.name for field in fields(CleanOptions)}
    for key, value in values.items():
        if key not in known:
            names = ", ".join(sorted(known))
            raise InputError(f"{where} has the option {key!r}, which is unknown: use one of {names}.")
        expected, words = _TYPES.get(key, (str, "a text"))
        if isinstance(value, bool) != (expected is bool) or not isinstance(value, expected):
            raise InputError(f"{where} sets {key} to {value!r}: give {words}.")
    return replace(options, **values)
