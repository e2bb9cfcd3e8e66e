"""The conservation law: pages in = pages out = rows, exactly once; for any source and any faults."""

import io
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from jobs import api
from jobs.archives.open import ArchiveKind, kind_of
from jobs.errors import DestinationFull, PumiceError, StoreError
from jobs.ledger import lease
from jobs.ledger.ledger import Ledger
from jobs.stores.local import LocalStore
from tests.chaos.breaking import Breaking, Countdown
from tests.chaos.serial import run_serially
from tests.samples import Item, archive, digests, fill, members, png, tiff

EXAMPLES = int(os.environ.get("PUMICE_CHAOS_EXAMPLES", "12"))


@dataclass(frozen=True)
class Content:
    """A file and the number of pages in it."""

    suffix: str
    data: bytes
    pages: int


PAGE, SCANS, BROKEN = (
    Content("png", png(1), 1),
    Content("tif", tiff([2, 3, 4]), 3),
    Content("jpg", b"broken", 1),
)
TEXT, EMPTY = Content("xml", b"<x/>", 0), Content("png", b"", 1)
INNER = Content("zip", archive("zip", [Item("1.png", png(5)), Item("2.tif", tiff([6, 7]))]), 3)
CONTENTS = st.sampled_from([PAGE, SCANS, BROKEN, TEXT, EMPTY, INNER, Content("pdf", b"%PDF-1.7", 1)])


@st.composite
def sources(draw: st.DrawFn) -> tuple[dict[str, bytes], int]:
    """A random tree and how many pages are in it."""
    tree, pages = dict[str, bytes](), 0
    for number in range(draw(st.integers(1, 4))):
        contents = draw(st.lists(CONTENTS, max_size=5))
        kind: ArchiveKind | None = draw(st.sampled_from(["tar", "tar.gz", "zip", None]))
        folder = draw(st.sampled_from(["", "a/", "a/b/"]))
        if kind:
            items = [Item(f"{n}.{one.suffix}", one.data) for n, one in enumerate(contents)]
            tree[f"{folder}{number}.{kind}"] = archive(kind, items)
        else:
            contents = [one for one in contents if one is not INNER]
            tree |= {f"{folder}{number}-{n}.{one.suffix}": one.data for n, one in enumerate(contents)}
        pages += sum(one.pages for one in contents)
    return tree, pages


class Dead(BaseException):
    """The process is no more."""


@dataclass(frozen=True)
class Fault:
    """What happens at which moment of a run; a moment is before or after a change of the destination."""

    kind: str
    moment: int

    def break_(self, store: LocalStore) -> LocalStore:
        """The destination as a run sees it that meets this fault."""
        dead = False

        def strike() -> None:
            nonlocal dead
            if self.kind == "crash":
                dead = True
                raise Dead
            raise DestinationFull("full") if self.kind == "full" else StoreError("away")

        countdown = Countdown(self.moment, strike)

        def act(name: str, after: bool) -> None:
            if dead:  # a dead process changes nothing more, whatever its `finally`s say
                raise Dead
            countdown(name, after)

        return Breaking(store, act)  # type: ignore[return-value]


FAULTS = st.lists(
    st.builds(Fault, st.sampled_from(["crash", "full", "away"]), st.integers(0, 150)), max_size=6
)


def pages_of(data: bytes, name: str) -> int:
    """How many pages a file has, counted by Pillow and by the standard library alone."""
    if kind := kind_of(name):
        return sum(pages_of(item.data, item.name) for item in members(kind, data))
    if name.endswith((".xml", ".pdf")):
        return int(name.endswith(".pdf"))
    try:
        with Image.open(io.BytesIO(data)) as image:
            return getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        return 1


def every_run_its_own_process() -> Callable[[int], str]:
    """A dead run's process is gone: the next one finds another start time under its pid."""
    starts = itertools.count()
    return lambda pid: f"start {next(starts)}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead close no files
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(sources(), FAULTS)
def test_pages_in_are_pages_out_are_rows(tree: tuple[dict[str, bytes], int], faults: list[Fault]) -> None:
    files, pages = tree
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(lease, "pid_start", every_run_its_own_process()),
    ):
        source, plain = LocalStore(Path(folder) / "source"), LocalStore(Path(folder) / "plain")
        destination = LocalStore(Path(folder) / "cleaned")
        Path(source.url).mkdir()
        fill(source, files)
        run_serially(source, plain)
        for fault in faults:
            try:
                run_serially(source, fault.break_(destination))
            except (Dead, PumiceError):
                continue
        summary = run_serially(source, destination)
        assert not summary.quarantined and not summary.unfinished
        assert digests(destination) == digests(plain)
        assert digests(destination).keys() == digests(source).keys()
        out = sum(pages_of((Path(destination.url) / key).read_bytes(), key) for key in digests(destination))
        assert out == sum(pages_of(data, key) for key, data in files.items()) == pages
        if pages:
            assert_rows(Path(destination.url), pages)
        assert api.verify(destination.url).problems == ()
        assert Ledger(destination).claims() == {}
        assert list(destination.leftovers()) == []


def assert_rows(destination: Path, pages: int) -> None:
    """As many rows as pages, and no page twice."""
    table = ds.dataset(destination / "_pumice" / "reports").to_table()  # type: ignore[no-untyped-call]
    names = Counter((r["shard"], r["member"], r["member_index"], r["page_index"]) for r in table.to_pylist())
    assert len(names) == pages and set(names.values()) <= {1}
