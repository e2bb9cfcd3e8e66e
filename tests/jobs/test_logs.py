"""Logs: JSON where it is asked for, with the ids of run, shard and attempt; lines for people elsewhere."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobs import api, logs
from jobs.cli.demo import make_archive
from jobs.cli.progress import ProgressBar
from jobs.codecs.codec import Page, inspect
from jobs.errors import InputError
from jobs.ledger.plan import Plan
from jobs.logs import VARIABLE, about, figures, write_json
from jobs.shard.inspector import Scan
from jobs.shard.meter import Progress
from jobs.shard.pipeline import Bench
from model.page import Pixels
from model.shipped import CLEANER
from tests.jobs.cli.test_progress import PLAN
from tests.samples import Inverter, Item, Trusting, archive, png

log = logging.getLogger("jobs.test")


@contextmanager
def process() -> Iterator[io.StringIO]:
    """What is written to stderr in the block; stderr and logging are as before behind it."""
    root, written, stderr = logging.getLogger(), io.StringIO(), sys.stderr
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    sys.stderr = written
    try:
        yield written
    finally:
        sys.stderr = stderr
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in logs.OURS:
            logging.getLogger(name).setLevel(logging.NOTSET)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_record_is_one_line_of_ascii_whatever_it_holds() -> None:
    with process() as written:
        write_json(written)
        with about(run="r", shard='a"\n\ud800é.tar', attempt=2):
            log.info("seen %s", "\x1b[31m\nred", extra=figures(pages=3))
            try:
                raise ValueError("bad")
            except ValueError:
                log.exception("broke")
        log.debug("never")
        logging.getLogger("boto3").info("nor this")
        assert written.getvalue().isascii()
        seen, broke = records(written.getvalue())
        assert seen.pop("time").endswith("+00:00")
        assert seen == {
            "level": "INFO", "logger": "jobs.test", "message": "seen \x1b[31m\nred", "run": "r",
            "shard": 'a"\n\ud800é.tar', "attempt": 2, "pages": 3,
        }  # fmt: skip
        assert broke["exception"].startswith("Traceback") and broke["exception"].endswith("ValueError: bad")


def test_ids_hold_within_their_block_alone() -> None:
    with process() as written:
        write_json(written)
        with about(run="r"):
            with about(shard="s"):
                log.info("inner")
            log.info("outer")
        log.info("none")
        told = [
            {key: one[key] for key in ("run", "shard") if key in one} for one in records(written.getvalue())
        ]
        assert told == [{"run": "r", "shard": "s"}, {"run": "r"}, {}]


class Talkative(Trusting, Inverter):
    """Logs whatever it is asked, from the thread that asks."""

    def look(self, page: Page) -> Scan:
        log.warning("look %s", threading.current_thread().name)
        return super().look(page)

    def clean(self, pages: Any) -> list[Pixels]:
        log.warning("clean %s", threading.current_thread().name)
        return super().clean(pages)

    def judge(self, scan: Scan, cleaned: Pixels) -> Any:
        log.warning("judge %s", threading.current_thread().name)
        return super().judge(scan, cleaned)


def test_what_threads_of_the_pipeline_log_names_the_shard() -> None:
    with process() as written:
        write_json(written)
        talkative, data = Talkative(), png()
        with Bench(talkative, talkative, 2) as bench:
            for shard in ("a.tar", "b.tar"):
                with about(shard=shard):
                    line = bench.grouping()
                    line.result(line.add(data, inspect(data, "PNG"), 0))
        told = [(*one["message"].split(), one["shard"]) for one in records(written.getvalue())]
        steps = ("look", "codec"), ("clean", "device"), ("judge", "codec")
        assert [(step, thread.split("-")[1].split("_")[0], shard) for step, thread, shard in told] == [
            (step, pool, shard) for shard in ("a.tar", "b.tar") for step, pool in steps
        ]


def test_all_that_goes_to_stderr_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    with process() as written:
        monkeypatch.setenv(VARIABLE, "json")
        console = Console(stderr=True, soft_wrap=True)
        logs.configure(console)
        with ProgressBar(console) as bar:
            bar.planned(PLAN)
        print("half a", end=" ", file=sys.stderr)
        print("line\n\nand more", file=sys.stderr)
        logs.tell(console, "pumice: it [broke].")
        told = [(one["level"], one["message"]) for one in records(written.getvalue())]
        assert told == [
            ("INFO", "1 shards to clean (2.0 MB), 3 done before"),
            ("INFO", "half a line"),
            ("INFO", "and more"),
            ("ERROR", "pumice: it [broke]."),
        ]


def test_nobody_reading_is_no_error() -> None:
    with process() as written:
        write_json(written)
        written.close()
        log.warning("into nothing")


@pytest.mark.parametrize("wish", ["", "text"])
def test_pipes_get_lines_for_people(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with process() as written:
        monkeypatch.setenv(VARIABLE, wish)
        logs.configure(Console(stderr=True))
        with about(shard="s"):
            log.warning("look at this", extra=figures(pages=1))
        log.info("not at that")
        assert written.getvalue() == "WARNING jobs.test: look at this\n"


def test_a_warning_does_not_tear_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with process() as written:
        monkeypatch.delenv(VARIABLE, raising=False)
        console = Console(stderr=True, force_terminal=True, width=100)
        logs.configure(console)
        with ProgressBar(console) as bar:
            bar.planned(Plan(PLAN.todo, 0, ()))
            bar.progressed(Progress(pages=1))
            log.warning("box [7] broke")
        lines = written.getvalue().split("\n")
        (line,) = [line for line in lines if "box [7] broke" in line]
        assert "WARNING" in line and "cleaning" not in line.rpartition("\r")[2]


def test_another_wish_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "yaml")
    with pytest.raises(InputError, match="json or text"):
        logs.configure(Console(stderr=True))


needs_weights = pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")


@needs_weights
def test_the_job_writes_json_with_the_shard_that_failed(ray_session: None, tmp_path: Path) -> None:
    import ray

    source = tmp_path / "source"
    source.mkdir()
    (source / "bad.tar").write_bytes(archive("tar", [Item(f"{n}.png", png(n)[:60]) for n in range(10)]))
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "jobs", "clean", str(source), str(tmp_path / "cleaned")]
    done = subprocess.run(
        [*command, "--address", address, "--max-attempts", "2"], capture_output=True, text=True,
        timeout=240, check=False, env={**os.environ, VARIABLE: "json"},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    told = records(done.stderr)
    (run,) = {one["run"] for one in told}
    warned = [one for one in told if one["level"] == "WARNING"]
    assert [(one["shard"], one["attempt"], one["code"]) for one in warned] == [
        ("bad.tar", 1, "too_many_failed"),
        ("bad.tar", 2, "too_many_failed"),
    ]
    assert "made again" in warned[0]["message"] and "quarantined" in warned[1]["message"]
    (begun,) = [one for one in told if one["message"] == "run begins"]
    (ended,) = [one for one in told if one["message"] == "run ended"]
    assert begun["shards"] == 1 and (ended["quarantined"], ended["pages"], ended["run"]) == (1, 0, run)
    assert done.stdout.startswith("0 pages in 0 shards")


@pytest.mark.slow
@needs_weights
def test_workers_write_json_if_the_driver_does(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    make_archive(tmp_path / "source", dpi=50)
    monkeypatch.setenv(VARIABLE, "json")
    summary = api.clean(str(tmp_path / "source"), str(tmp_path / "cleaned"))
    folder = Path(ray.nodes()[0]["RayletSocketName"]).parent.parent / "logs"
    text = "".join(path.read_text(errors="replace") for path in folder.glob("worker-*.err"))
    told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    told = [one for one in told if one["run"] == summary.run_id]
    ends = {one["shard"]: one for one in told if "ended" in one["message"]}
    assert set(ends) == {"letters.tar", "minutes.zip", "loose/*"}
    assert all(one["outcome"] == "done" and one["seconds"] > 0 for one in ends.values())
    assert sum(one["pages"] for one in ends.values()) == summary.pages
    assert sum("begins" in one["message"] for one in told) == 3
