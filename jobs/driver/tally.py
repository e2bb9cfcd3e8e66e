"""What came of a run's shards so far; no commits are kept, for there may be a million."""

from dataclasses import dataclass, field

from jobs.ledger.records import Commit


@dataclass
class Tally:
    """Totals of the shards that a run committed, and those that it did not, with the reason."""

    shards: int = 0
    pages: int = 0
    cleaned: int = 0
    passed_through: int = 0
    failed: int = 0
    damaged: int = 0
    pixels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    by_others: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)

    def add(self, commit: Commit) -> None:
        """Count a commit of this run's."""
        self.shards += 1
        self.pages += commit.pages
        self.cleaned += commit.cleaned
        self.passed_through += commit.passed_through
        self.failed += commit.failed
        self.damaged += commit.damaged is not None
        self.pixels += commit.pixels
        self.bytes_in += commit.bytes_in
        self.bytes_out += commit.bytes_out
