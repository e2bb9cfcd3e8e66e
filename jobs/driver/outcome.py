"""How attempts end, in words that the ledger keeps."""

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
"""The code of attempts that were given up because the run was told to stop."""

SHARD_TIMEOUT = "shard_timeout"
"""The code of attempts that were ended because they showed no progress."""

CRASHES = frozenset({"worker_died", SHARD_TIMEOUT, CRASHED_BESIDE})
"""The codes of attempts that may have killed their worker: the shard is tried alone from then on."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: `done` with a commit; `lost`: another attempt has the shard; `failed`; `store`: a place broke;
            `changed`: the source changed while it was read; `fatal`: no shard can be done.
        commit: for `done`.
        code: a stable word, for the others.
        message: one sentence.
        exit_code: for `fatal`.
        kinds: for `done`, what the pages came to.
        seconds: from its begin to its end.
    """

    kind: Literal["done", "lost", "failed", "store", "changed", "fatal"]
    commit: Commit | None = None
    code: str = ""
    message: str = ""
    exit_code: int = 1
    kinds: Kinds = field(default_factory=dict)
    seconds: float = 0.0


class Fatal(PumiceError):
    """What a worker met can't be helped by trying other shards."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # the worker's error decides
