"""Every error that Pumice raises on purpose.

PumiceError                 anything below; exit code 1
├── InputError              2   the user's input or options are wrong; the sentence says what to do
├── StoreError              1   the storage refused or broke: the run ends, the ledger keeps what is done
│   ├── DestinationFull     1   no space left where the result goes
│   ├── SourceChanged       1   an object changed while it was read: the attempt at its shard fails
│   └── StagedGone          1   a staged object was lost before it was published
├── RayError                1   Ray doesn't start on this machine, or a cluster's head fails
├── LeaseHeld               4   another run works on this destination
├── Interrupted           130   the user asked to stop
├── TooManyFailed           –   so many pages of a shard failed that the attempt fails
└── DataError               –   the data are at fault: a row of the report says so, the job goes on
    ├── ArchiveDamaged          the archive can't be read to its end
    └── PageError               one page can't be decoded, cleaned or encoded
"""

from typing import ClassVar


class PumiceError(Exception):
    """Base of all; `str(error)` is one sentence for the user."""

    exit_code: ClassVar[int] = 1


class InputError(PumiceError):
    """The user's input or options are wrong; the sentence says what to do."""

    exit_code = 2


class StoreError(PumiceError):
    """The storage refused or broke in the middle of a run."""


class DestinationFull(StoreError):
    """No space is left where the result goes."""


class SourceChanged(StoreError):
    """An object of the source was changed or removed while it was read."""


class StagedGone(StoreError):
    """A staged object is gone, and its key holds something else: it can never be published."""


class RayError(PumiceError):
    """Ray doesn't start on this machine, or a cluster's head fails."""


class LeaseHeld(PumiceError):
    """Another run works on this destination."""

    exit_code = 4


class Interrupted(PumiceError):
    """The user asked to stop."""

    exit_code = 130


class TooManyFailed(PumiceError):
    """So many pages of a shard failed that the storage or the weights are suspected, not the pages."""


class DataError(PumiceError):
    """The data are at fault; `code` is a stable word for the report's `error_code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["DataError"], tuple[object, ...]]:
        return type(self), (self.code, str(self))


class ArchiveDamaged(DataError):
    """The archive can't be read to its end."""


class PageError(DataError):
    """One page can't be decoded, cleaned or encoded, or stays as it is; `reasons` say why to review it."""

    def __init__(self, code: str, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(code, message)
        self.reasons = reasons

    def __reduce__(self) -> tuple[type["PageError"], tuple[object, ...]]:
        return type(self), (self.code, str(self), self.reasons)
