"""`scripts/run chaos --kills 200`: do many times what tests/chaos does a few times; fills infra/chaos.md.

kills: SIGKILL of a whole run at random steps, again and again on one destination until it is done, then on
a new one. Meanwhile another process reads the destination. zombies: SIGSTOP at a random step; another
run takes over, and the first one is woken. faults: S3 to S3 through a proxy that breaks requests, by kind.
ray: SIGKILL of real workers and of real drivers.

After each round the result is compared, byte for byte, with an undisturbed run, and every page with its row.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from jobs.driver import run as runs
from jobs.errors import PumiceError
from jobs.ledger import lease
from jobs.ledger.guests import begin
from jobs.stores import s3_client
from jobs.stores.local import LocalStore
from jobs.stores.open import open_store
from scripts.blocks import show_figures
from scripts.chaos.row import Row
from tests.chaos.breaking import freeze_at, in_child, kill_at, outcome_of
from tests.chaos.proxy import FAULTS, FaultyProxy
from tests.chaos.reader import watching
from tests.chaos.serial import run_serially
from tests.processes import descendants, signal_workers, wait_for_end
from tests.s3_server import BUCKET, serve_s3
from tests.samples import Item, archive, digests, fill, png, tiff

DOCS = Path(__file__).parents[2] / "infra" / "chaos.md"
PAGES_A_BOX = 4
MOMENTS = 180
"""A run over the archives below has about this many moments before and after its changes."""


def tree() -> dict[str, bytes]:
    """A few archives and loose scans."""
    pages = [Item(f"{n}.png", png(n)) for n in range(PAGES_A_BOX)]
    boxes = {f"{n}/box.tar": archive("tar", pages) for n in range(3)}
    return {**boxes, "rest.zip": archive("zip", pages), "a.png": png(9), "b.tif": tiff([7, 8])}


@contextmanager
def ground() -> Iterator[tuple[Path, LocalStore, dict[str, str]]]:
    """A folder, a source in it, and the digests of its undisturbed mirror."""
    with tempfile.TemporaryDirectory(prefix="pumice-chaos-") as name:
        source, plain = LocalStore(Path(name) / "source"), LocalStore(Path(name) / "plain")
        fill(source, tree())
        assert outcome_of(in_child(lambda: run_serially(source, plain))) == 0
        yield Path(name), source, digests(plain)


def kills(count: int, chance: random.Random) -> Row:
    """Kill runs until `count` were killed."""
    row = Row("SIGKILL of a run at a random step")
    with ground() as (folder, source, expected):
        while row.times < count:
            destination = LocalStore(folder / f"killed-{row.rounds}")
            allowed = {key: {digest} for key, digest in expected.items()}
            with watching(Path(destination.url), allowed) as seen:
                while end := _end_of_killed(source, destination, chance.randrange(MOMENTS)):
                    assert end == -signal.SIGKILL
                    row.times += 1
            row.looks, row.partial = row.looks + seen.looks, row.partial + len(seen.partial)
            assert outcome_of(in_child(lambda d=destination: run_serially(source, d))) == 0
            row.check(destination.url, expected)
            assert not list(destination.leftovers())
    return row


def _end_of_killed(source: LocalStore, destination: LocalStore, moment: int) -> int:
    return outcome_of(in_child(lambda: run_serially(source, kill_at(destination, moment))))


def zombies(count: int, chance: random.Random) -> Row:
    """Stop runs, let others take over, wake them."""
    row = Row("SIGSTOP of a run at a random step, woken after another finished")
    with ground() as (folder, source, expected):
        while row.times < count:
            destination = LocalStore(folder / f"zombie-{row.rounds}")
            pid = in_child(partial(_frozen, source, destination, chance.randrange(MOMENTS)))
            frozen = outcome_of(pid) == -signal.SIGSTOP
            row.times += frozen
            assert outcome_of(in_child(partial(_taking_over, source, destination))) == 0
            if frozen:
                os.kill(pid, signal.SIGCONT)
                row.stopped += outcome_of(pid) != 0
            assert outcome_of(in_child(lambda d=destination: run_serially(source, d))) == 0
            row.check(destination.url, expected)
    return row


def _frozen(source: LocalStore, destination: LocalStore, moment: int) -> None:
    with patch.object(runs, "begin", partial(begin, ttl_s=0.3)):
        run_serially(source, freeze_at(destination, moment))


def _taking_over(source: LocalStore, destination: LocalStore) -> None:
    with patch.object(lease, "boot_id", lambda: "another boot"):
        run_serially(source, destination)


def faults(rounds: int, seed: int) -> list[Row]:
    """Break requests to S3, by kind."""
    found = []
    with tempfile.TemporaryDirectory(prefix="pumice-chaos-") as name, serve_s3(Path(name)) as server:
        source, plain = open_store(f"s3://{BUCKET}/source"), open_store(f"s3://{BUCKET}/plain")
        fill(source, tree())
        run_serially(source, plain)
        expected = digests(plain)
        proxy = FaultyProxy(server.port, seed)
        with patch.dict(os.environ, AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.port}"):
            s3_client.READ_TIMEOUT_S = 2
            s3_client._made.cache_clear()
            for fault in FAULTS:
                row = Row(f"S3 request struck by `{fault}`")
                for number in range(rounds):
                    _strike(proxy, fault, row, f"s3://{BUCKET}/{fault}-{number}", expected)
                found.append(row)
        proxy.close()
    return found


def _strike(proxy: FaultyProxy, fault: str, row: Row, url: str, expected: dict[str, str]) -> None:
    source, destination = open_store(f"s3://{BUCKET}/source"), open_store(url)
    proxy.faults, proxy.rate = (fault,), 0.04 if fault == "hang" else 0.15
    before = proxy.struck[fault]
    while True:
        try:
            if not run_serially(source, destination).unfinished:
                break
        except PumiceError:
            row.stopped += 1
    proxy.rate = 0.0
    row.times += proxy.struck[fault] - before
    row.check(url, expected)


def ray(count: int, chance: random.Random) -> Row:
    """Kill real workers and real drivers of `pumice clean`, in turn."""
    row = Row("SIGKILL of a Ray worker or driver at a random moment")
    with tempfile.TemporaryDirectory(prefix="pumice-chaos-") as name:
        source, plain = Path(name) / "source", Path(name) / "plain"
        fill(LocalStore(source), tree())
        subprocess.run(_command(source, plain), check=False, capture_output=True)
        expected = digests(open_store(str(plain)))
        while row.times < count:
            destination = Path(name) / f"ray-{row.rounds}"
            while not _killed_by_chance(_command(source, destination), chance, row):
                pass
            row.check(str(destination), expected)
    return row


def _command(source: Path, destination: Path) -> list[str]:
    return [sys.executable, "-m", "jobs", "clean", str(source), str(destination)]


def _killed_by_chance(command: list[str], chance: random.Random, row: Row) -> bool:
    """Start a run and kill a part of it; whether it finished all the same."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end, family = time.monotonic() + chance.uniform(4, 25), list[tuple[int, str]]()
    while time.monotonic() < end and run.poll() is None:
        family = list(descendants(run.pid)) or family
        time.sleep(0.1)
    if run.poll() is None and chance.random() < 0.5:
        row.times += len(signal_workers(run.pid, signal.SIGKILL)) > 0
        run.wait()
    elif run.poll() is None:
        run.kill()
        row.times += 1
    run.wait()
    wait_for_end(family)
    return run.returncode in (0, 3)


def main() -> None:
    """Parse, break runs, print the table, write it."""
    parser = argparse.ArgumentParser(
        prog="scripts/run chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--zombies", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3, help="rounds with each kind of S3 fault (3)")
    parser.add_argument("--ray-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the table into infra/chaos.md")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    rows = [kills(given.kills, chance), zombies(given.zombies, chance)]
    rows += faults(given.rounds, given.seed)
    rows += [ray(given.ray_kills, chance)] if given.ray_kills else []
    lines = [
        "| what was done | times | rounds | runs that stopped with a sentence | pages lost | pages doubled "
        "| partial objects seen |",
        "|---|---|---|---|---|---|---|",
        *map(str, rows),
        "",
        f"`scripts/run chaos --kills {given.kills} --zombies {given.zombies} --rounds {given.rounds} "
        f"--ray-kills {given.ray_kills} --seed {given.seed}`",
    ]
    show_figures(lines, DOCS if given.write else None)


if __name__ == "__main__":
    main()
