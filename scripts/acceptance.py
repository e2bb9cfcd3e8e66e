"""`scripts/run acceptance --data DIR`: clean one source tree of real scans in all ways, and count.

The tree: office-scans (multi-page G4 TIFFs) in three tars and a zip, old-books as loose JPEGs with their XML,
noisyoffice/noisy as a tar.gz, every fifth file of hostile as a zip. It is cleaned from folder to folder and
from S3 to S3, and every page is matched with its one output and one row. Then it is cleaned while the driver
is killed at random moments (`--kills`): the result must be the same, byte for byte.
"""

import argparse
import io
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
from PIL import Image, UnidentifiedImageError

from jobs.stores.base import LEDGER, Store
from jobs.stores.open import open_store
from tests.processes import descendants, wait_for_end
from tests.s3_server import BUCKET, serve_s3
from tests.samples import digests

PUMICE = str(Path(sys.executable).parent / "pumice")


def build(data: Path, source: Path) -> None:
    """Pack the real scans as archives hold them."""
    scans = sorted((data / "office-scans").iterdir())
    for box in range(3):
        path = source / "office" / f"box-{box}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for scan in scans[box:39:3]:
                tar.add(scan, scan.name)
    with zipfile.ZipFile(source / "office" / "rest.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for scan in scans[39:]:
            archive.write(scan, scan.name)
    for page in (data / "old-books").rglob("*.*"):
        copy = source / "books" / page.relative_to(data / "old-books")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(page.read_bytes())
    with tarfile.open(source / "noisy.tar.gz", "w:gz") as tar:
        tar.add(data / "noisyoffice" / "noisy", "noisy")
    with zipfile.ZipFile(source / "hostile.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for scan in sorted((data / "hostile").iterdir())[::5]:
            archive.write(scan, scan.name)


def members(store: Store) -> Iterator[tuple[str, str, bytes]]:
    """Every file in a place: (shard or folder, member, content), archives opened, by Python's own modules."""
    for info in store.list():
        with store.open(info) as stream:
            data = stream.read()
        if info.key.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from ((info.key, name, archive.read(name)) for name in archive.namelist())
        elif info.key.endswith((".tar", ".tar.gz")):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar:
                    if content := tar.extractfile(member):
                        yield info.key, member.name, content.read()
        else:
            folder, _, name = info.key.rpartition("/")
            yield folder, name, data


def facts(data: bytes) -> list[tuple[object, ...]]:
    """Format, size, mode and dpi of each page, by Pillow; empty if it can't open the file."""
    found = []
    try:
        with Image.open(io.BytesIO(data)) as image:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                dpi = tuple(round(float(one), 1) for one in image.info.get("dpi", ()))
                found.append((image.format, image.size, image.mode, dpi))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, EOFError, ZeroDivisionError):
        return []
    return found


def check(source: Store, destination: Store, reports: Path) -> None:
    """Match every member with its output and every page with its row; print the counts."""
    rows = ds.dataset(reports).to_table().to_pylist()  # type: ignore[no-untyped-call]
    per_page = Counter((row["shard"].rpartition("/*")[0] or row["shard"], row["member"], row["member_index"],
                        row["page_index"]) for row in rows)  # fmt: skip
    assert max(per_page.values()) == 1, "a page has two rows"
    in_report = Counter((shard, member) for shard, member, _, _ in per_page)
    before, after = list(members(source)), list(members(destination))
    assert [one[:2] for one in before] == [one[:2] for one in after], "names or order differ"
    pages = kept = 0
    for (shard, name, old), (_, _, new) in zip(before, after, strict=True):
        kept += old == new
        if shard == "hostile.zip":
            continue
        expected, rows_of_it = facts(old), in_report[shard, name]
        assert facts(new) == expected, f"{shard} {name}: {expected} became {facts(new)}"
        assert rows_of_it == len(expected), f"{shard} {name} has {rows_of_it} rows"
        pages += len(expected)
    statuses = Counter((row["status"], row["error_code"]) for row in rows)
    print(f"  {len(before)} files in, {len(after)} out, in the same order; {len(rows)} rows, one a page")
    print(f"  {pages} pages outside hostile.zip kept their format, size, mode and dpi, and have one row each")
    print(f"  {kept} files are byte for byte the source's; rows: {dict(statuses)}")


def clean(source: str, destination: str) -> float:
    """Run `pumice clean` and print its first lines; the seconds that it took."""
    begun = time.monotonic()
    done = subprocess.run([PUMICE, "clean", source, destination], capture_output=True, text=True, check=False)
    print("  " + "\n  ".join(done.stdout.splitlines()[:2]) + f"  (exit {done.returncode})")
    assert done.returncode in (0, 3), done.stderr
    return time.monotonic() - begun


def kill_often(source: str, destination: Path, kills: int, seconds: float, seed: int) -> int:
    """Start the job and kill its driver at random moments; how many kills hit a running job."""
    chance, hits = random.Random(seed), 0
    for _ in range(kills):
        run = subprocess.Popen(
            [PUMICE, "clean", source, str(destination)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + chance.uniform(2, max(6, 2 * seconds / kills + 8))
        family: list[tuple[int, str]] = []
        while time.monotonic() < end and run.poll() is None:
            family = list(descendants(run.pid)) or family
            time.sleep(0.1)
        hits += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
        wait_for_end(family)  # the rest of its Ray ends by itself
    return hits


def main() -> None:
    """Parse, clean in all ways, check."""
    parser = argparse.ArgumentParser(
        prog="scripts/run acceptance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with office-scans, old-books, ...")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave everything there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pumice-acceptance-") as name:
        root = given.keep or Path(name)
        source, undisturbed, killed = root / "source", root / "cleaned", root / "killed"
        build(given.data, source)
        print("folder to folder")
        seconds = clean(str(source), str(undisturbed))
        check(open_store(str(source)), open_store(str(undisturbed)), undisturbed / LEDGER / "reports")
        clean(str(source), str(undisturbed))
        expected = digests(open_store(str(undisturbed)))
        print("S3 to S3")
        with serve_s3(root / "s3"):
            url = f"s3://{BUCKET}/acceptance"
            upload(source, open_store(f"{url}/source"))
            clean(f"{url}/source", f"{url}/cleaned")
            assert digests(open_store(f"{url}/cleaned")) == expected
            print("  the same bytes as folder to folder")
            clean(f"{url}/source", f"{url}/cleaned")
        print(f"{given.kills} kills")
        hits = kill_often(str(source), killed, given.kills, seconds, given.seed)
        clean(str(source), str(killed))
        check(open_store(str(source)), open_store(str(killed)), killed / LEDGER / "reports")
        assert digests(open_store(str(killed))) == expected
        left = [path for path in killed.rglob(".pumice-*")]
        print(f"  {hits} kills hit a running job; the same bytes as undisturbed; {len(left)} leftovers")


def upload(folder: Path, store: Store) -> None:
    """Copy a folder into a place."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())


if __name__ == "__main__":
    main()
