"""What a run is asked to do: options, the recipe they amount to, and the limits that keep it bounded."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from jobs.errors import InputError
from model.shipped import CLEANER
from model.tile import TILE

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


LIMITS = Limits()
"""The bounds of every run: reading a result again needs those that it was made with."""


class CleanOptions(BaseModel):
    """What `pumice clean` can be told besides source and destination: each option is defined here alone.

    The command line, job.toml, `pumice submit` and the records of runs read names and types from here.

    Raises:
        InputError: an option is unknown, or its value is of the wrong type or out of its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: Path = Field(default=CLEANER, description="The weights to clean with; Pumice's own if not given.")
    device: Device = Field(
        default="auto", description="auto, cpu or cuda; auto takes GPUs where there are any."
    )
    address: str | None = Field(
        default=None, description="A Ray cluster to join; if not given, Ray starts on this machine."
    )
    gpus_per_actor: float = Field(
        default=1.0, gt=0, le=1, description="One worker's share of a GPU, up to 1."
    )
    also_cpu: bool = Field(
        default=False,
        description="Clean on free CPU cores beside the GPUs, too; results of both may differ by a few grey "
        "levels.",
    )
    max_attempts: int = Field(default=3, ge=1, description="Attempts at a shard before it is quarantined.")
    shard_timeout: float = Field(
        default=900.0, gt=0, description="Seconds without progress that end an attempt."
    )
    max_failed_pages: float = Field(
        default=0.5, ge=0, le=1,
        description="Share of a shard's pages, 0 to 1; if more of them fail, and not just a few, the attempt "
        "fails, because the storage or the weights may be the cause.",
    )  # fmt: skip
    recipe_changed: RecipeChanged = Field(
        default="keep", description="Results of another recipe, as of older weights: keep or redo them."
    )
    on_suspicion: OnSuspicion = Field(
        default="flag",
        description="Pages that may have lost or gained ink: flag them, keep-original, or blend lost strokes "
        "back in.",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, check: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            options = check(values)
        except ValidationError as error:
            where = f"In {info.context}, " if info.context else ""
            raise InputError(where + _sentence(error)) from error
        if options.also_cpu and options.device == "cpu":
            raise InputError("also-cpu adds CPU cores to GPUs, and device is cpu: leave one of them out.")
        return options

    def recipe(self, weights_sha256: str) -> "Recipe":
        """The recipe of these options with these weights."""
        return Recipe(weights_sha256, self.on_suspicion, devices="mixed" if self.also_cpu else "alike")


# Where pydantic's words are for programmers.
_SHOULD = {
    "bool_type": "should be true or false",
    "float_type": "should be a number",
    "int_type": "should be a whole number",
    "is_instance_of": "should be the path of a file",
    "string_type": "should be a text",
}


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, and what to do about it."""
    first = error.errors()[0]
    name = str(first["loc"][0]).replace("_", "-")
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(CleanOptions.model_fields)).replace("_", "-")
        return f"the option {name} is unknown: use one of {known}."
    should = _SHOULD.get(first["type"]) or first["msg"].removeprefix("Input ")
    return f"{name} is {first['input']!r}: it {should}."


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
    """Options from a TOML file; those of the command line replace them.

    Args:
        path: a file whose keys are the fields of CleanOptions, written with `-` or `_`; None for no file.
        given: the fields that the command line names.

    Raises:
        InputError: the file is missing or no TOML; else as CleanOptions.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_toml(path)
        CleanOptions.model_validate(values, context=path)  # what is wrong with the file bears the file's name
    return CleanOptions.model_validate({**values, **given})


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
        table["model"] = path.parent / table["model"]
    return table
