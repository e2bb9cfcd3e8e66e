"""The records of the ledger: their fields, their bytes (JSON) and the keys under which they stand."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter

from jobs.errors import StoreError
from jobs.stores.base import LEDGER, ObjectInfo, Staged

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CLAIMS = f"{LEDGER}/claims/"
DONE = f"{LEDGER}/done/"
QUARANTINE = f"{LEDGER}/quarantine/"
ROWS = f"{LEDGER}/rows/"
NO_OTHER_FIELDS = ConfigDict(extra="forbid")
"""For records that this version may not understand if they have fields that it does not know."""

_CLAIM_FILE = re.compile(re.escape(CLAIMS) + r"([^/]+)/(\d+)-([^/]+)/a(\d+)(\.failed)?\.json")
_DONE_FILE = re.compile(re.escape(DONE) + r"([^/]+)/c(\d+)\.json")

Record = TypeVar("Record")


def read_record(kind: type[Record], data: bytes, key: str) -> Record:
    """Read a record.

    Args:
        kind: the record's dataclass; the types of its fields are checked.
        data: the record's bytes.
        key: where it stands, for the error.

    Raises:
        StoreError: this version of Pumice cannot read it.
    """
    try:
        # pydantic's own JSON parser refuses file names with bytes that are not UTF-8.
        record: Record = _adapter(kind).validate_python(json.loads(data))
    except ValueError as error:  # the base of the errors of json and of pydantic
        raise StoreError(
            f"{key} is no record that this version of Pumice can read: update Pumice, or restore it."
        ) from error
    return record


def record_bytes(record: "DataclassInstance") -> bytes:
    """The bytes of a record; equal records have equal bytes."""
    return json.dumps(asdict(record), indent=1).encode()


_adapter: Callable[[type], TypeAdapter[Any]] = cache(TypeAdapter)


def shard_id(shard: str) -> str:
    """One safe path part for a shard key of any length and alphabet: readable, and unique by its hash."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", shard)[-40:].lstrip(".")
    return f"{slug}-{hashlib.sha256(shard.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True)
class Claim:
    """One attempt at one work of a shard, which aims at commit `number` of that shard.

    Its record has more fields: the host, the process and the time. They are for people.
    """

    shard: str
    number: int
    work: str
    attempt: int
    run_id: str

    @property
    def id(self) -> str:
        """The name under which this attempt stages objects; no other attempt of any run has it."""
        return f"{self.run_id}-c{self.number:06d}-a{self.attempt:04d}"

    @property
    def folder(self) -> str:
        """The prefix of all claims for this work and number."""
        return f"{CLAIMS}{shard_id(self.shard)}/{self.number:06d}-{self.work}/"

    @property
    def key(self) -> str:
        """The key of the claim's record."""
        return f"{self.folder}a{self.attempt:04d}.json"

    @property
    def failed_key(self) -> str:
        """The key of the record of its failure."""
        return f"{self.folder}a{self.attempt:04d}.failed.json"


@dataclass(frozen=True)
class ClaimFile:
    """What the key of a record below `claims/` says."""

    key: str
    shard_id: str
    number: int
    work: str
    attempt: int
    failed: bool

    @staticmethod
    def parse(key: str) -> "ClaimFile | None":
        """Read a key; None for any other file that may stand there."""
        found = _CLAIM_FILE.fullmatch(key)
        return found and ClaimFile(key, found[1], int(found[2]), found[3], int(found[4]), bool(found[5]))


@dataclass(frozen=True)
class Failure:
    """How an attempt ended that made no commit: who made it, a code, one sentence."""

    run_id: str
    code: str
    message: str


@dataclass(frozen=True)
class ClaimState:
    """An attempt that made no commit; without a `failure` it is in work, or died without a trace."""

    number: int
    attempt: int
    failure: Failure | None = None


@dataclass(frozen=True)
class Quarantined:
    """A work that no run tries again until a user asks for it.

    Attributes:
        shard, work: what is given up.
        code, message: how its last attempt ended.
        attempts: the number of that attempt.
        retried: a user asked for it; attempts up to that number no longer count.
    """

    __pydantic_config__ = NO_OTHER_FIELDS

    shard: str
    work: str
    code: str
    message: str
    attempts: int
    retried: bool = False


@dataclass(frozen=True)
class Commit:
    """The decision which staged objects are the result of a shard, and the totals of its pages."""

    __pydantic_config__ = NO_OTHER_FIELDS

    shard: str
    number: int
    work: str
    run_id: str
    attempt: int
    recipe: str
    source: tuple[ObjectInfo, ...]
    staged: tuple[Staged, ...]
    """The outputs; the rows of the report are the last of them."""
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
    schema: Literal[1] = 1

    @property
    def voided(self) -> bool:
        """Whether it only says that the commit before it was lost; the shard has to be cleaned again."""
        return not self.work

    @property
    def claim(self) -> Claim:
        """The attempt that made it."""
        return Claim(self.shard, self.number, self.work, self.attempt, self.run_id)


def done_key(shard: str, number: int) -> str:
    """The key of a shard's commit with that number."""
    return f"{DONE}{shard_id(shard)}/c{number:06d}.json"


def parse_done(key: str) -> tuple[str, int] | None:
    """The shard id and the number in a commit's key; None for other keys."""
    found = _DONE_FILE.fullmatch(key)
    return found and (found[1], int(found[2]))


def quarantine_key(shard: str, work: str) -> str:
    """The key of a work's quarantine record."""
    return f"{QUARANTINE}{shard_id(shard)}/{work}.json"


def rows_key(shard: str) -> str:
    """The key of a shard's own rows of the report; a later result replaces them."""
    return f"{ROWS}{shard_id(shard)}.parquet"
