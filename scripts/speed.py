"""`scripts/run speed time|memory`: how much time the job takes beside its parts, and how much memory.

time: A4 pages at 300 dpi (JPEG, PNG, G4) in a few tars. The floor is the time of decode, network and encode
alone, one stage after the other, each with all cores. It is measured before and after the job, in one run,
because the speed of a machine drifts. The ratio floor / job says how much the job adds.

memory: one tar of about 2 GB of uncompressed A4 pages goes through one worker, whose memory is sampled.

Both write their figures into a block of README.md, and name the machine.
"""

import argparse
import io
import os
import re
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from PIL import Image

from jobs import api
from jobs.codecs.codec import Page, decode, encode, inspect
from jobs.ledger.plan import Plan
from jobs.shard.meter import Progress
from model.cleaning.cleaner import load_cleaner
from model.drawing.damage import damage, damage_bitonal
from model.drawing.pages import render_page
from model.shipped import CLEANER
from scripts.blocks import ROOT, Curve, draw_curves, machine, table, write_block

T = TypeVar("T")
A4 = (3508, 2480)
KINDS = ("JPEG", "PNG", "TIFF")


def draw(index: int) -> Image.Image:
    """A damaged A4 page at 300 dpi; every third page is a 1-bit fax."""
    rng = np.random.default_rng((7, index))
    clean = render_page(rng, *A4, 300)
    if KINDS[index % 3] == "TIFF":
        return Image.fromarray(damage_bitonal(clean, rng)[0]).convert("1", dither=Image.Dither.NONE)
    return Image.fromarray(damage(clean, rng))


def pack(folder: Path, pages: int, shards: int) -> None:
    """Write the pages into tars; nine pages are drawn, the others repeat them."""
    drawn = []
    for index in range(9):
        buffer, kind = io.BytesIO(), KINDS[index % 3]
        options = {"compression": "group4"} if kind == "TIFF" else {}
        draw(index).save(buffer, kind, dpi=(300, 300), **options)
        drawn.append((kind, buffer.getvalue()))
    for shard in range(shards):
        with tarfile.open(folder / f"box-{shard:03d}.tar", "w") as tar:
            for index in range(shard, pages, shards):
                kind, data = drawn[index % 9]
                add(tar, f"{index:05d}.{kind.lower()}", data)


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Append a member."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def members(folder: Path) -> list[bytes]:
    """The pages of all tars."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [stream.read() for member in tar if (stream := tar.extractfile(member))]
    return found


def stages(files: list[bytes]) -> dict[str, float]:
    """Seconds for each stage alone, over all pages, with all cores."""
    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    cv2.setNumThreads(1)
    cleaner = load_cleaner(CLEANER)
    cleaner.clean([np.zeros(A4, np.uint8)])
    formats = {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"II": "TIFF"}

    def read(data: bytes) -> Page:
        return decode(data, inspect(data, formats[data[:2]]), 0)

    spent = {"decode": 0.0, "network": 0.0, "encode": 0.0}
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(files), 12):  # in portions, so that memory stays small
            part = files[start : start + 12]
            pages = clocked(spent, "decode", lambda p=part: list(pool.map(read, p)))
            cleaned = clocked(spent, "network", lambda p=pages: [cleaner.clean([one.pixels])[0] for one in p])
            clocked(spent, "encode", lambda p=pages, c=cleaned: list(pool.map(encode, p, c)))
    return spent


def clocked(spent: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """Run `work` and add the seconds that it took."""
    begun = time.perf_counter()
    result = work()
    spent[name] += time.perf_counter() - begun
    return result


def job_time(pages: int) -> str:
    """Measure floor, job, floor; a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="pumice-bench-") as name:
        source, destination = Path(name) / "source", Path(name) / "cleaned"
        source.mkdir()
        pack(source, pages, shards=4)
        files = members(source)
        half = len(files) // 2
        before = stages(files[:half])
        summary = api.clean(str(source), str(destination))
        after = stages(files[half:])
    floor = {name: before[name] + after[name] for name in before}
    total = sum(floor.values())
    rows = [[f"{name} alone", f"{seconds / len(files) * 1e3:,.0f}"] for name, seconds in floor.items()]
    rows += [
        ["floor: the three one after the other", f"{total / len(files) * 1e3:,.0f}"],
        [
            "whole job: the guard, Ray's start and the ledger too",
            f"{summary.seconds / len(files) * 1e3:,.0f}",
        ],
        ["**floor / job**", f"**{total / summary.seconds:.2f}**"],
    ]
    return (
        f"{table(['part', 'ms/page'], rows)}\n\n"
        f"{len(files)} A4 pages at 300 dpi, a third each JPEG, PNG and 1-bit G4; {machine()}; "
        f"`scripts/run speed time --pages {pages}`."
    )


class Memory:
    """A watcher of a run that samples the memory of its workers."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []
        self._size = 1
        self._read = 0
        self._begun = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def planned(self, plan: Plan) -> None:
        """Note how much there is to read."""
        self._size = plan.size

    def progressed(self, progress: Progress) -> None:
        """Note how much has been read."""
        self._read = progress.bytes_read

    def stop(self) -> None:
        """End sampling."""
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._end.wait(0.5):
            resident = max(resident_bytes(), default=0)
            if resident:
                done = self._read / self._size
                self.samples.append((time.monotonic() - self._begun, resident / 2**20, done))


def resident_bytes() -> Iterator[int]:
    """Memory of each worker process in bytes, without what it shares with Ray's object store."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes().startswith(b"ray::Worker"):
                facts = dict(re.findall(r"(\w+):\s+(\d+) kB", (path / "status").read_text()))
                yield (int(facts["RssAnon"]) + int(facts["RssFile"])) * 1024
        except (OSError, KeyError):
            continue


def memory(megabytes: int) -> str:
    """Clean one large tar and plot the worker's memory; a Markdown paragraph."""
    with tempfile.TemporaryDirectory(prefix="pumice-bench-") as name:
        source = Path(name) / "source"
        source.mkdir()
        buffers = [io.BytesIO() for _ in range(3)]
        for index, buffer in enumerate(buffers):
            draw(3 * index).save(buffer, "TIFF", dpi=(300, 300))
        count = megabytes * 10**6 // len(buffers[0].getvalue())
        with tarfile.open(source / "large.tar", "w") as tar:
            for index in range(count):
                add(tar, f"{index:05d}.tif", buffers[index % 3].getvalue())
        size = (source / "large.tar").stat().st_size
        watcher = Memory()
        try:
            summary = api.clean(str(source), str(Path(name) / "cleaned"), watcher=watcher)
        finally:
            watcher.stop()
    curve = Curve("", [sample[0] for sample in watcher.samples], [sample[1] for sample in watcher.samples])
    title = f"One worker, one tar of {size / 1e9:.1f} GB"
    draw_curves(ROOT / "infra" / "memory.svg", [curve], title, ("seconds", "resident MiB"))
    peak = max(sample[1] for sample in watcher.samples)
    late = max(s[1] for s in watcher.samples if s[2] > 0.5)
    early = max(s[1] for s in watcher.samples if s[2] <= 0.5)
    return (
        f"One tar of {size / 1e9:.1f} GB ({summary.pages} uncompressed A4 pages at 300 dpi) through one "
        f"worker: its resident memory peaked at {peak:,.0f} MiB, PyTorch, Ray and weights included; "
        f"{early:,.0f} MiB in the first half and {late:,.0f} MiB in the second. {machine()}; "
        f"`scripts/run speed memory --megabytes {megabytes}`.\n\n"
        "![Memory of a worker over time](infra/memory.svg)"
    )


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="scripts/run speed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["time", "memory"])
    parser.add_argument("--pages", type=int, default=120, help="for time (120)")
    parser.add_argument("--megabytes", type=int, default=2000, help="for memory (2000)")
    given = parser.parse_args()
    text = job_time(given.pages) if given.what == "time" else memory(given.megabytes)
    print(text)
    write_block(ROOT / "README.md", given.what, text)


if __name__ == "__main__":
    main()
