"""Any tree of archives goes through: the same members in the same order, and a row for every page."""

import hashlib
import io
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.archives.open import ArchiveKind, kind_of
from jobs.config import Limits
from jobs.errors import ArchiveDamaged
from jobs.report.schema import Row
from jobs.shard.pipeline import Bench
from jobs.shard.rewrite import Rewriter
from tests.samples import (
    Inverter,
    Item,
    Trusting,
    archive,
    encoded,
    endless_tar,
    frames,
    is_cleaned,
    members,
    pixels,
    png,
    short,
    tiff,
)

KINDS: tuple[ArchiveKind, ...] = ("tar", "tar.gz", "zip")
TINY = Limits(window_bytes=1, kept_bytes=0)


@dataclass(frozen=True)
class Done:
    data: bytes
    rows: list[Row]
    members: int
    damaged: str | None = None


def rewritten(
    data: bytes,
    kind: ArchiveKind = "tar",
    limits: Limits | None = None,
    cleaner: Inverter | None = None,
    threads: int = 2,
    batch_pixels: int = 300,
) -> Done:
    sink, damaged = io.BytesIO(), None
    with (
        Bench(cleaner or Inverter(), Trusting(), threads, batch_pixels) as bench,
        Rewriter("shard", bench, limits or Limits()) as rewriter,
    ):
        try:
            rewriter.rewrite_archive(kind, io.BytesIO(data), len(data), sink)
        except ArchiveDamaged as error:
            damaged = error.code
        return Done(sink.getvalue(), list(rewriter.rows), rewriter.member_count, damaged)


# --- the property: a random tree against a model of what is to become of it ---

Expected = tuple[str, int, int, str, str | None]
ONE_ROW = {
    "broken": ("failed", "unreadable"),
    "pdf": ("passed_through", "unsupported_format"),
    "link": ("passed_through", "not_a_file"),
}


@dataclass(frozen=True)
class Node:
    """A member to be, with what must become of it."""

    name: str
    fate: Literal["cleaned", "broken", "pdf", "other", "link", "directory", "nested", "cut"]
    data: bytes = b""
    pages: int = 1
    children: tuple["Node", ...] = field(default=(), compare=False)

    @property
    def item(self) -> Item:
        kind = self.fate if self.fate in ("link", "directory") else "file"
        return Item(self.name, self.data, kind)

    def rows(self, index: int, prefix: str) -> list[Expected]:
        name = prefix + self.name
        if self.fate in ONE_ROW:
            return [(name, index, 0, *ONE_ROW[self.fate])]
        if self.fate == "cleaned":
            return [(name, index, page, "cleaned", None) for page in range(self.pages)]
        inner = rows_of(self.children, f"{name}!/")
        if self.fate == "cut":
            inner = [
                (*row[:3], "passed_through", "archive_truncated") if row[3] == "cleaned" else row
                for row in inner
            ]
            inner.append((name, -1, 0, "failed", "archive_truncated"))
        return inner


def rows_of(nodes: tuple[Node, ...], prefix: str = "") -> list[Expected]:
    return [row for index, node in enumerate(nodes) for row in node.rows(index, prefix)]


def check(kind: ArchiveKind, nodes: tuple[Node, ...], output: bytes) -> None:
    after = members(kind, output)
    assert [(one.name, one.kind) for one in after] == [(n.item.name, n.item.kind) for n in nodes]
    for node, item in zip(nodes, after, strict=True):
        if node.fate == "cleaned":
            assert is_cleaned(node.data, item.data)
        elif node.fate == "nested":
            inner = kind_of(node.name)
            assert inner
            check(inner, node.children, item.data)
        else:
            assert item.data == (b"" if kind != "zip" and node.fate in ("link", "directory") else node.data)


def nested(name: str, children: list[Node], cut: bool) -> Node:
    kind, items = cast(ArchiveKind, kind_of(name)), [child.item for child in children]
    if cut and kind == "tar":
        return Node(name, "cut", endless_tar(items), children=tuple(children))
    return Node(name, "nested", archive(kind, items), children=tuple(children))


NAMES = st.sampled_from(["a", "b", "deep/er/c", "é 1"])
LEAVES = st.one_of(
    st.builds(
        lambda name, seed, width: Node(f"{name}.png", "cleaned", png(seed, width)),
        NAMES, st.integers(0, 99), st.sampled_from([1, 12, 13]),
    ),
    st.builds(
        lambda name, seeds: Node(f"{name}.tif", "cleaned", tiff(seeds), len(seeds)),
        NAMES, st.lists(st.integers(0, 99), min_size=1, max_size=4),
    ),
    st.builds(lambda name, end: Node(f"{name}.png", "broken", png(3)[:end]), NAMES, st.integers(0, 60)),
    st.builds(lambda name, size: Node(f"{name}.xml", "other", b"<x/>" * size), NAMES, st.integers(0, 700)),
    st.builds(lambda name: Node(f"{name}.pdf", "pdf", b"%PDF-1.7 and so on"), NAMES),
    st.builds(lambda name: Node(f"{name}.png", "link"), NAMES),
    st.builds(lambda name: Node(name, "directory"), NAMES),
)  # fmt: skip
NODES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda name, kind, children, cut: nested(f"{name}.{kind}", children, cut),
        NAMES, st.sampled_from(KINDS), st.lists(inner, max_size=4), st.booleans(),
    ),
    max_leaves=8,
)  # fmt: skip
LIMITS = st.builds(
    Limits, window_bytes=st.sampled_from([1, 3000, 10**8]), kept_bytes=st.sampled_from([0, 800, 10**6]),
    depth=st.just(99),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), st.lists(NODES, max_size=6), LIMITS, st.integers(1, 4), st.booleans())
def test_members_in_are_members_out_and_every_page_has_its_row(
    kind: ArchiveKind, nodes: list[Node], limits: Limits, threads: int, batched: bool
) -> None:
    tree = tuple(nodes)
    data = archive(kind, [node.item for node in tree])
    done = rewritten(data, kind, limits, threads=threads, batch_pixels=10_000 if batched else 0)
    check(kind, tree, done.data)
    assert short(done.rows) == rows_of(tree)
    again = rewritten(data, kind, limits, threads=2, batch_pixels=10_000 if batched else 0)
    assert again.data == done.data


def test_bytes_and_batches_depend_on_no_clock() -> None:
    items = [Item(f"{n}.png", png(n, width=12 + n // 7 % 2)) for n in range(40)]
    items[5:5] = [Item("in.zip", archive("zip", items[:9])), Item("b.tif", tiff(range(6)))]
    data = archive("tar.gz", items)
    limits = Limits(window_bytes=60_000)
    cleaners = [Inverter(pause_s=pause) for pause in (0, 0.004, 0.008)]
    results = [
        rewritten(data, "tar.gz", limits, cleaner, threads)
        for cleaner, threads in zip(cleaners, (1, 2, 5), strict=True)
    ]
    assert len({done.data for done in results}) == 1
    assert cleaners[0].batches == cleaners[1].batches == cleaners[2].batches
    assert max(count for _, count in cleaners[0].batches) == 3
    costs = [
        [replace(row, decode_ms=None, clean_ms=None, encode_ms=None) for row in done.rows] for done in results
    ]
    assert costs[0] == costs[1] == costs[2]


def test_two_shards_share_a_bench() -> None:
    data = [archive("tar", [Item(f"{n}.png", png(n + shift)) for n in range(20)]) for shift in (0, 50)]
    with Bench(Inverter(0.002), Trusting(), 2, 300) as bench:

        def work(source: bytes) -> bytes:
            sink = io.BytesIO()
            with Rewriter("shard", bench, Limits(window_bytes=20_000)) as rewriter:
                rewriter.rewrite_archive("tar", io.BytesIO(source), len(source), sink)
            return sink.getvalue()

        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(work, data))
    assert together == [rewritten(one).data for one in data]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_keeps_its_rows_and_says_so(kind: ArchiveKind) -> None:
    items = [Item("a.png", png(1)), Item("b.png", b"broken"), Item("c.png", png(2))]
    data = archive(kind, items)
    cut = endless_tar(items) if kind == "tar" else data[:-100]
    done = rewritten(cut, kind, TINY)
    assert done.damaged == "archive_truncated"
    assert short(done.rows)[-1] == ("", -1, 0, "failed", "archive_truncated")
    assert "cleaned" not in {row.status for row in done.rows}
    copied = [row for row in done.rows if row.status == "passed_through"]
    assert all(row.source_sha256 == row.output_sha256 and row.bytes_in == row.bytes_out for row in copied)
    found = {"tar": 3, "tar.gz": len(done.rows) - 1, "zip": 0}[kind]
    assert [row.member for row in done.rows] == ["a.png", "b.png", "c.png"][:found] + [""]


def test_members_before_and_after_a_damaged_inner_archive_are_cleaned() -> None:
    inner = archive("tar", [Item("x.png", png(1))])[:-9000]
    items = [Item("a.png", png(2)), Item("in.tar", inner), Item("b.png", png(3))]
    done = rewritten(archive("zip", items), "zip", TINY)
    assert done.damaged is None
    assert members("zip", done.data)[1].data == inner
    assert [row[:1] + row[3:] for row in short(done.rows)] == [
        ("a.png", "cleaned", None),
        ("in.tar!/x.png", "passed_through", "archive_truncated"),
        ("in.tar", "failed", "archive_truncated"),
        ("b.png", "cleaned", None),
    ]


def test_what_is_only_called_an_archive_is_copied() -> None:
    done = rewritten(archive("tar", [Item(f"a.{kind}", b"<html>") for kind in KINDS]))
    assert [item.data for item in members("tar", done.data)] == [b"<html>"] * 3
    assert [row.status for row in done.rows] == ["failed"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_archive_is_no_damage(kind: ArchiveKind) -> None:
    done = rewritten(archive(kind, []), kind)
    assert (members(kind, done.data), done.rows, done.damaged) == ([], [], None)


def test_depth_and_size_bound_what_is_opened() -> None:
    data = archive("tar", [Item("a.png", png(1)), Item("big.png", png(1, 90, 90))])
    for name in ("3.tar", "2.tar", "1.tar"):
        data = archive("tar", [Item(name, data)])
    assert [row.status for row in rewritten(data).rows] == ["cleaned", "cleaned"]
    for limits, code in ((Limits(depth=2), "nested_too_deep"), (Limits(nested_bytes=20_000), "too_large")):
        done = rewritten(data, limits=limits)
        assert [(row.status, row.error_code) for row in done.rows] == [("passed_through", code)]
        assert done.data == data
    done = rewritten(data, limits=Limits(member_bytes=2000))
    assert [row.error_code for row in done.rows] == [None, "too_large"]


def test_unsafe_names_are_kept_and_reported_but_never_used() -> None:
    names = ["../../x", "/etc/x.png", "..\\x.zip", "c:/x.xml", "fine/../../x.tif"]
    data = archive("tar", [Item(name, png(1)) for name in names])
    done = rewritten(data)
    assert done.data == data
    assert [(row.member, row.error_code) for row in done.rows] == [(name, "unsafe_name") for name in names]


def test_names_of_any_bytes_come_through() -> None:
    names = ["\udce9\udcff.png", "line\nbreak.png", "nul-free\x01.png", "x" * 3000 + ".png"]
    done = rewritten(archive("tar", [Item(name, png(1)) for name in names]))
    assert [item.name for item in members("tar", done.data)] == names
    assert [row.member for row in done.rows] == ["\\xe9\\xff.png", *names[1:]]
    assert {row.status for row in done.rows} == {"cleaned"}


def test_one_bad_page_of_a_document_leaves_the_others_cleaned() -> None:
    first, second, third = (Image.fromarray(pixels(seed)) for seed in (1, 2, 3))
    data = encoded(first, "TIFF", save_all=True, append_images=[second.convert("CMYK"), third])
    done = rewritten(archive("tar", [Item("a.tif", data)]))
    assert [row.status for row in done.rows] == ["cleaned", "passed_through", "cleaned"]
    assert [row.error_code for row in done.rows] == [None, "unsupported_mode", None]
    assert [row.bytes_in for row in done.rows] == [len(data), 0, 0]
    assert len({row.output_sha256 for row in done.rows}) == 1
    (item,) = members("tar", done.data)
    before, after = frames(data), frames(item.data)
    assert np.array_equal(before[1], after[1])
    assert all(np.array_equal(255 - before[n], after[n]) for n in (0, 2))


def test_a_page_that_cant_come_along_keeps_its_document_as_it_was() -> None:
    data = tiff([1, 2, 3], 40, 40)
    # The last frame's strip now lies behind the end of the file.
    at = data.rindex(b"\x11\x01\x04\x00") + 8
    broken = data[:at] + struct.pack("<L", len(data)) + data[at + 4 :]
    done = rewritten(archive("tar", [Item("a.tif", broken)]))
    assert members("tar", done.data)[0].data == broken
    assert [row.status for row in done.rows] == ["failed"] * 3
    assert "put together" in str(done.rows[0].error) and "put together" not in str(done.rows[2].error)


def test_absurd_claims_fit_the_report() -> None:
    data = bytearray(tiff([1, 2], 40, 40))
    at = data.rindex(b"\x00\x01\x04\x00" if b"\x00\x01\x04\x00" in data else b"\x00\x01\x03\x00")
    data[at + 2 : at + 12] = struct.pack("<HLL", 4, 1, 0xFFFFFFFF)  # ImageWidth
    done = rewritten(archive("tar", [Item("a.tif", bytes(data))]))
    assert [(row.width, row.status) for row in done.rows] == [(40, "cleaned"), (None, "passed_through")]


class Digest:
    """A sink that keeps nothing."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        self.hash.update(data)


def test_a_zip_that_lies_about_a_small_member_is_not_taken_into_memory() -> None:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as zipped:
        zipped.writestr("a.txt", bytes(40 << 20))
    data = bytearray(buffer.getvalue())
    at = data.rindex(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<L", 10)  # what it claims to hold
    stream, sink = io.BytesIO(data), Digest()
    tracemalloc.start()
    try:
        with Bench(Inverter(), Trusting(), 1) as bench, Rewriter("shard", bench, Limits()) as rewriter:
            rewriter.rewrite_archive("zip", stream, len(data), sink)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert sink.hash.digest() == hashlib.sha256(data).digest()


def test_a_zip64_comes_through() -> None:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as zipped:
        for name, content in (("a.png", png(1)), ("b.txt", b"words")):
            with zipped.open(name, "w", force_zip64=True) as member:
                member.write(content)
    done = rewritten(buffer.getvalue(), "zip")
    a, b = members("zip", done.data)
    assert is_cleaned(png(1), a.data) and b.data == b"words"


def test_an_encrypted_member_is_copied_as_it_stands() -> None:
    data = bytearray(archive("zip", [Item("a.png", png(1)), Item("b.png", png(2))]))
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + flags] |= 1
    done = rewritten(bytes(data), "zip")
    assert [(row.status, row.error_code) for row in done.rows] == [
        ("passed_through", "member_encrypted"),
        ("cleaned", None),
    ]


def test_rows_tell_what_a_page_was_and_became() -> None:
    before = png(1, 12, 8)
    done = rewritten(archive("tar", [Item("a.png", before)]))
    (row,), (item,) = done.rows, members("tar", done.data)
    assert (row.shard, row.width, row.height, row.mode, row.bit_depth) == ("shard", 12, 8, "L", 8)
    assert row.dpi_x == pytest.approx(300, abs=0.1) and row.dpi_y == row.dpi_x
    assert (row.bytes_in, row.bytes_out) == (len(before), len(item.data))
    assert row.source_sha256 != row.output_sha256
    assert min(row.decode_ms or 0, row.clean_ms or 0, row.encode_ms or 0) > 0
