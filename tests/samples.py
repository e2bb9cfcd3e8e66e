"""Pages, archives and a workshop to clean them in, made by code."""

import hashlib
import io
import random
import stat
import tarfile
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from jobs.archives.open import ArchiveKind
from jobs.codecs.codec import Page
from jobs.codecs.pixels import as_encoded
from jobs.config import Limits, Recipe
from jobs.ledger.plan import Shard, Task, find_shards
from jobs.ledger.records import rows_key
from jobs.report.schema import Row
from jobs.shard.attempt import Workshop
from jobs.shard.inspector import Scan, Verdict
from jobs.shard.pipeline import Bench
from jobs.stores.base import Store
from model.judging.condition import at_scale, condition
from model.judging.figures import Fidelity
from model.page import Pixels

RECIPE = Recipe("weights")


class Inverter:
    """Cleans by inverting, which shows in every pixel; remembers what came together."""

    def __init__(self, pause_s: float = 0, fail_at: int = -1) -> None:
        self.batches: list[tuple[tuple[int, ...], int]] = []
        self.threads: set[int] = set()
        self.calls = 0
        self._pause_s, self._fail_at = pause_s, fail_at

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        self.threads.add(threading.get_ident())
        self.calls += 1
        if self.calls - 1 == self._fail_at:
            raise RuntimeError("the network broke")
        self.batches.append((pages[0].shape, len(pages)))
        time.sleep(random.uniform(0, self._pause_s))
        return [np.iinfo(page.dtype).max - page for page in pages]


class Trusting:
    """Objects to nothing: these pages are noise, which is no text."""

    def look(self, page: Page) -> Scan:
        return Scan(page, *at_scale(page.pixels, page.info.dpi))

    def judge(self, scan: Scan, cleaned: Pixels) -> tuple[Pixels, Verdict]:
        info = scan.page.info
        after, _ = at_scale(as_encoded(cleaned, info.mode), info.dpi)
        states = (condition(grey, scan.dpi) for grey in (scan.grey, after))
        return cleaned, Verdict(*states, Fidelity(0, 0, 0, 1))


def pixels(seed: int, width: int = 12, height: int = 8, channels: int = 0) -> Pixels:
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(seed: int = 0, width: int = 12, height: int = 8, channels: int = 0) -> bytes:
    return encoded(Image.fromarray(pixels(seed, width, height, channels)), dpi=(300, 300))


def tiff(seeds: Sequence[int], width: int = 12, height: int = 8) -> bytes:
    first, *rest = [Image.fromarray(pixels(seed, width, height)) for seed in seeds]
    return encoded(first, "TIFF", save_all=True, append_images=rest, compression="tiff_lzw")


def frames(data: bytes) -> list[Pixels]:
    """All pixels of a file, by Pillow alone."""
    with Image.open(io.BytesIO(data)) as image:
        result = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            result.append(np.asarray(image).copy())
        return result


def is_cleaned(before: bytes, after: bytes) -> bool:
    """Whether `after` is the inverse of `before`; for formats without loss."""
    pairs = zip(frames(before), frames(after), strict=True)
    return all(np.array_equal(255 - old, new) for old, new in pairs)


def all_cleaned(before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    return all(is_cleaned(old, new) for old, new in zip(before, after, strict=True))


@dataclass(frozen=True)
class Item:
    """A member to write, or one that was read."""

    name: str
    data: bytes = b""
    kind: str = "file"


def archive(kind: ArchiveKind, items: Sequence[Item]) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        _write_zip(buffer, items)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w") as tar:
            _write_tar(tar, items)
    return buffer.getvalue()


def endless_tar(items: Sequence[Item]) -> bytes:
    """A tar that is cut off behind its last member: the damage that is the hardest to notice."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _write_tar(tar, items)
        end = tar.offset
    return buffer.getvalue()[:end]


def _write_tar(tar: tarfile.TarFile, items: Sequence[Item]) -> None:
    for item in items:
        info = tarfile.TarInfo(item.name)
        info.size, info.mtime = len(item.data), 1000
        if item.kind != "file":
            info.type = tarfile.SYMTYPE if item.kind == "link" else tarfile.DIRTYPE
            info.linkname = "elsewhere" if item.kind == "link" else ""
        tar.addfile(info, io.BytesIO(item.data))


def _write_zip(buffer: io.BytesIO, items: Sequence[Item]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as zipped:
        warnings.simplefilter("ignore")  # duplicate names
        for item in items:
            folder = item.kind == "directory"
            info = zipfile.ZipInfo(f"{item.name}/" if folder else item.name, (2001, 2, 3, 4, 5, 6))
            info.external_attr = (stat.S_IFLNK if item.kind == "link" else 0) << 16
            info.compress_type = zipfile.ZIP_STORED if folder else zipfile.ZIP_DEFLATED
            zipped.writestr(info, item.data)


def members(kind: ArchiveKind, data: bytes) -> list[Item]:
    """What an archive holds, by the standard library."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            return [
                Item(info.filename.rstrip("/"), zipped.read(info), _kind(info)) for info in zipped.infolist()
            ]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [
            Item(
                info.name,
                tar.extractfile(info).read() if info.isfile() else b"",  # type: ignore[union-attr]
                "file" if info.isfile() else "link" if info.issym() else "directory",
            )
            for info in tar
        ]


def _kind(info: zipfile.ZipInfo) -> str:
    if info.is_dir():
        return "directory"
    return "link" if stat.S_ISLNK(info.external_attr >> 16) else "file"


def fill(store: Store, files: dict[str, bytes]) -> None:
    for key, data in files.items():
        store.put(key, data)


@contextmanager
def workshop(
    source: Store,
    destination: Store,
    cleaner: Inverter | None = None,
    threads: int = 2,
    batch_pixels: int = 0,
    limits: Limits | None = None,
) -> Iterator[Workshop]:
    with Bench(cleaner or Inverter(), Trusting(), threads, batch_pixels) as bench:
        yield Workshop(source, destination, bench, RECIPE, "cpu", limits or Limits())


def the_shard(source: Store) -> Shard:
    (shard,) = find_shards(source)
    return shard


def task_of(shard: Shard, number: int = 1, attempt: int = 1, run_id: str = "run-1") -> Task:
    return Task(shard, shard.work_key(RECIPE.fingerprint), number, attempt, run_id)


def report_rows(destination: Store, shard: Shard) -> list[dict[str, object]]:
    data = destination.get(rows_key(shard.key))
    assert data is not None
    rows: list[dict[str, object]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


def short(rows: Iterator[Row] | Sequence[Row]) -> list[tuple[str, int, int, str, str | None]]:
    """What rows say of identity and status."""
    return [(r.member, r.member_index, r.page_index, r.status, r.error_code) for r in rows]


def digests(store: Store) -> dict[str, str]:
    """Every visible object outside the ledger, by key."""
    found = {}
    for info in store.list():
        with store.open(info) as stream:
            found[info.key] = hashlib.sha256(stream.read()).hexdigest()
    return found
