"""A row of the table of `scripts/run chaos`, and the comparison that fills it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset as ds

from jobs import api
from jobs.stores.base import LEDGER
from jobs.stores.open import open_store
from tests.samples import digests


@dataclass
class Row:
    """What was done, how often, and what came of it."""

    what: str
    times: int = 0
    rounds: int = 0
    stopped: int = 0
    lost: int = 0
    doubled: int = 0
    looks: int = 0
    partial: int = 0

    def __str__(self) -> str:
        looks = f"{self.partial} in {self.looks:,} looks" if self.looks else "–"
        return (
            f"| {self.what} | {self.times:,} | {self.rounds} | {self.stopped} | {self.lost} "
            f"| {self.doubled} | {looks} |"
        )

    def check(self, destination: str, expected: dict[str, str]) -> None:
        """Compare a destination with the undisturbed one, and count its rows."""
        assert digests(open_store(destination)) == expected, destination
        found = api.verify(destination)
        assert not found.problems, found.problems
        self.rounds += 1
        if not destination.startswith("s3:"):
            table = ds.dataset(Path(destination) / LEDGER / "reports").to_table()
            names = Counter(
                (r["shard"], r["member"], r["member_index"], r["page_index"]) for r in table.to_pylist()
            )
            self.doubled += sum(names.values()) - len(names)
            self.lost += found.pages - len(names)
