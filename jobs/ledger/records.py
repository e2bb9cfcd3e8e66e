"""What the ledger writes down, and under which names."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from jobs.errors import StoreError
from jobs.stores.base import LEDGER, ObjectInfo, Staged

CLAIMS = f"{LEDGER}/claims/"
DONE = f"{LEDGER}/done/"
QUARANTINE = f"{LEDGER}/quarantine/"
ROWS = f"{LEDGER}/rows/"
SCHEMA = 1
_CLAIM_FILE = re.compile(re.escape(CLAIMS) + r"([^/]+)/(\d+)-([^/]+)/a(\d+)(\.failed)?\.json")
_DONE_FILE = re.compile(re.escape(DONE) + r"([^/]+)/c(\d+)\.json")


def shard_id(shard: str) -> str:
    """One safe path part for a shard key of any length and alphabet: readable, and unique by its hash."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", shard)[-40:].lstrip(".")
    return f"{slug}-{hashlib.sha256(shard.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True)
class Claim:
    """One attempt at one work of a shard, which aims at the shard's commit of that number."""

    shard: str
    number: int
    work: str
    attempt: int
    run_id: str

    @staticmethod
    def from_json(data: bytes, key: str) -> "Claim":
        """Read a claim's record, which holds more than this; raises StoreError naming `key` if it is none."""
        fields = read_json(data, key)
        try:
            return Claim(*[fields[name] for name in ("shard", "number", "work", "attempt", "run_id")])
        except KeyError as error:
            raise _unknown(key) from error

    @property
    def id(self) -> str:
        """The name under which this attempt stages: no other attempt of any run ever bears it."""
        return f"{self.run_id}-c{self.number:06d}-a{self.attempt:04d}"

    @property
    def folder(self) -> str:
        """Where all attempts at this work and number are claimed."""
        return f"{CLAIMS}{shard_id(self.shard)}/{self.number:06d}-{self.work}/"

    @property
    def key(self) -> str:
        """The claim's record."""
        return f"{self.folder}a{self.attempt:04d}.json"

    @property
    def failed_key(self) -> str:
        """The record of its failure."""
        return f"{self.folder}a{self.attempt:04d}.failed.json"


@dataclass(frozen=True)
class ClaimFile:
    """What the name of a record below `claims/` says."""

    key: str
    shard_id: str
    number: int
    work: str
    attempt: int
    failed: bool

    @staticmethod
    def parse(key: str) -> "ClaimFile | None":
        """Read a name; None for anything else that may lie there."""
        found = _CLAIM_FILE.fullmatch(key)
        return found and ClaimFile(key, found[1], int(found[2]), found[3], int(found[4]), bool(found[5]))


@dataclass(frozen=True)
class ClaimState:
    """An attempt that did not end in a commit: in flight or crashed while `failed` is None."""

    number: int
    attempt: int
    run_id: str | None = None
    """Known only for a failure: claims are listed, not read."""
    failed: tuple[str, str] | None = None
    """Code and message."""


@dataclass(frozen=True)
class Quarantined:
    """A work that is given up until somebody asks for it again.

    Attributes:
        shard, work: what is given up.
        code, message: how its last attempt ended.
        attempts: the number of that attempt.
        retried: somebody did ask; attempts up to that number count no more.
    """

    shard: str
    work: str
    code: str
    message: str
    attempts: int
    retried: bool = False

    def to_json(self) -> bytes:
        """The record's bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(data: bytes, key: str) -> "Quarantined":
        """Read a record's bytes; raises StoreError naming `key` if this version can't."""
        try:
            return Quarantined(**read_json(data, key))
        except TypeError as error:
            raise _unknown(key) from error


@dataclass(frozen=True)
class Commit:
    """What became of a shard: the decision which staged objects are its result, and the totals."""

    shard: str
    number: int
    work: str
    run_id: str
    attempt: int
    recipe: str
    source: tuple[ObjectInfo, ...]
    staged: tuple[Staged, ...]
    """The outputs, and the report last."""
    members: int
    pages: int
    cleaned: int
    passed_through: int
    failed: int
    bytes_in: int
    bytes_out: int
    pixels: int
    damaged: str | None
    committed_at: str
    host: str
    schema: int = SCHEMA

    @property
    def voided(self) -> bool:
        """Whether it says only that the commit before it was lost: the shard is to be done again."""
        return not self.work

    @property
    def claim(self) -> Claim:
        """The attempt that made it."""
        return Claim(self.shard, self.number, self.work, self.attempt, self.run_id)

    def to_json(self) -> bytes:
        """The record's bytes; equal commits give equal bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(data: bytes, key: str) -> "Commit":
        """Read a record's bytes; raises StoreError naming `key` if this version can't."""
        fields = read_json(data, key)
        try:
            if fields["schema"] != SCHEMA:
                raise _unknown(key)
            fields["source"] = tuple(ObjectInfo(**one) for one in fields["source"])
            fields["staged"] = tuple(
                Staged(**{**one, "parts": tuple(one["parts"])}) for one in fields["staged"]
            )
            return Commit(**fields)
        except (KeyError, TypeError) as error:
            raise _unknown(key) from error


def done_key(shard: str, number: int) -> str:
    """Where the commit of that number stands."""
    return f"{DONE}{shard_id(shard)}/c{number:06d}.json"


def parse_done(key: str) -> tuple[str, int] | None:
    """The shard id and number of a commit's name."""
    found = _DONE_FILE.fullmatch(key)
    return found and (found[1], int(found[2]))


def quarantine_key(shard: str, work: str) -> str:
    """Where a work's quarantine is recorded."""
    return f"{QUARANTINE}{shard_id(shard)}/{work}.json"


def rows_key(shard: str) -> str:
    """Where a shard's own rows of the report stand; a later result replaces them."""
    return f"{ROWS}{shard_id(shard)}.parquet"


def read_json(data: bytes, key: str) -> dict[str, Any]:
    """A record's fields; raises StoreError naming `key` if it is none."""
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise _unknown(key) from error
    if not isinstance(fields, dict):
        raise _unknown(key)
    return fields


def _unknown(key: str) -> StoreError:
    return StoreError(
        f"{key} is no record that this version of Pumice can read: update Pumice, or restore it."
    )
