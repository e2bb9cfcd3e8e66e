"""How an attempt ends, and the codes of failures that the ledger keeps."""

from dataclasses import dataclass, field
from typing import Literal

from jobs.errors import PumiceError
from jobs.ledger.records import Commit
from jobs.shard.meter import Kinds

STORE_ERROR = "store_error"
"""The code of attempts that failed because a place broke: the shard is not to blame."""

CRASHED_BESIDE = "worker_died_beside_others"
"""The code of attempts whose worker died with several in work: any of them may be to blame."""

RELEASED = "released"
"""The code of attempts that ended early because the run stopped or their machine was taken away."""

SHARD_TIMEOUT = "shard_timeout"
"""The code of attempts that were ended because they made no progress."""

CRASHES = frozenset({"worker_died", SHARD_TIMEOUT, CRASHED_BESIDE})
"""The codes of attempts that may have killed their worker: the shard is tried alone from then on."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, as its worker says.

    Attributes:
        kind: `done` with a commit; `lost`: another attempt has the shard; `failed`; `store`: a place broke;
            `changed`: the source changed while it was read; `fatal`: no shard can be cleaned.
        commit: for `done`.
        code: a stable word, for the other kinds.
        message: one sentence.
        exit_code: for `fatal`.
        kinds: for `done`, the pages by status and error code.
        seconds: the duration of the attempt.
    """

    kind: Literal["done", "lost", "failed", "store", "changed", "fatal"]
    commit: Commit | None = None
    code: str = ""
    message: str = ""
    exit_code: int = 1
    kinds: Kinds = field(default_factory=dict)
    seconds: float = 0.0


class Fatal(PumiceError):
    """A worker met an error that other shards would meet too."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # the worker's error decides
