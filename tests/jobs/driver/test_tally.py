"""The totals of a run, and what of them Ray's metrics get; Ray is played here."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.driver import metrics
from jobs.driver.dispatch import Dispatch
from jobs.driver.metrics import publishing
from jobs.driver.outcome import CRASHED_BESIDE, RELEASED, SHARD_TIMEOUT, Outcome
from jobs.driver.tally import UNKNOWN, Tally
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Task
from jobs.shard.meter import Progress
from jobs.shard.policy import FAULTS, POLICY
from jobs.stores.local import LocalStore
from tests.jobs.driver.test_dispatch import commit, shard

JOBS = Path(__file__).parents[3] / "jobs"
TASK = Task(shard(), "work", 1, 1, "run")
KINDS = {("cleaned", ""): 3, ("failed", "unreadable"): 2}


class Recorder:
    """Plays Ray's counters, gauges and histograms, which refuse what Ray's refuse."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}
        self.calls = 0

    def make(self, name: str, *_: object) -> SimpleNamespace:
        def inc(value: float, labels: dict[str, str]) -> None:
            assert value > 0
            series = (name, *labels.values())
            self.calls += 1
            self.values[series] = self.values.get(series, 0) + value

        def put(value: float, labels: dict[str, str] | None = None) -> None:
            self.values[name, *(labels or {}).values()] = value

        return SimpleNamespace(inc=inc, set=put, observe=lambda value: inc(value, {}))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    one = Recorder()
    for name in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(metrics, name, one.make)
    return one


def test_ends_of_attempts_are_told_apart() -> None:
    tally = Tally()
    for code in (SHARD_TIMEOUT, "worker_died", CRASHED_BESIDE, RELEASED):
        tally.crashed(None, code)
    for outcome in (Outcome("lost"), Outcome("store"), Outcome("done", commit(TASK), kinds=KINDS, seconds=7)):
        tally.ended(outcome)
    tally.crashed(commit(TASK), "worker_died")
    assert tally.ends == {"timeout": 1, "crashed": 2, "released": 1, "lost": 1, "store": 1, "done": 2}
    assert tally.kinds[("cleaned", "")] == 4, "one page is of the commit whose worker died"
    assert tally.kinds[("failed", "unreadable")] == 2 and tally.kinds[("failed", UNKNOWN)] == 0
    assert (tally.take_seconds(), tally.take_seconds()) == ([7], [])


def test_what_goes_wrong_is_logged_with_its_shard(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    with caplog.at_level(logging.WARNING):
        tally.retried(TASK, "worker_died", "the worker died")
        tally.gave_up(TASK, "worker_died", "the worker died")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert all("box.tar" in record.getMessage() for record in caplog.records)
    assert tally.retries == 1


def test_series_begin_at_nothing_and_end_at_the_totals(recorder: Recorder, tmp_path: Path) -> None:
    dispatch = Dispatch(Ledger(LocalStore(tmp_path)), "run", 3)
    seen: list[Progress] = []
    with publishing(dispatch, seen.append) as publish:
        begun = dict(recorder.values)
        assert begun["pumice_pages_total", "failed", "unreadable"] < 1e-300
        assert begun["pumice_attempts_total", "crashed"] < 1e-300
        publish(Progress(pixels=10, busy_s=1.5, to_clean=4, in_flight=2))
        dispatch.finished(TASK, Outcome("done", commit(TASK), kinds=KINDS, seconds=7))
        publish(Progress(pixels=30, busy_s=2.5, to_encode=1))
        calls = recorder.calls
        publish(Progress(pixels=20, busy_s=2.5))
        assert recorder.calls == calls, "a total that was restarted is taken for nothing new"
    assert [one.pixels for one in seen] == [10, 30, 20]
    found = recorder.values
    assert (found["pumice_pages_total", "cleaned", ""], found["pumice_attempts_total", "done"]) == (3, 1)
    assert found["pumice_pages_total", "failed", "unreadable"] == 2
    assert (found["pumice_network_pixels_total",], found["pumice_network_busy_seconds_total",]) == (30, 2.5)
    assert (found["pumice_read_bytes_total",], found["pumice_shard_seconds",]) == (1, 7)
    assert found["pumice_pages_waiting", "network"] == 0 == found["pumice_shards_in_flight",]


def test_the_last_figures_go_out_although_the_run_breaks(recorder: Recorder, tmp_path: Path) -> None:
    dispatch = Dispatch(Ledger(LocalStore(tmp_path)), "run", 3)
    with pytest.raises(RuntimeError), publishing(dispatch, lambda _: None):
        dispatch.tally.ended(Outcome("fatal"))
        raise RuntimeError
    assert recorder.values["pumice_attempts_total", "fatal"] == 1


def test_all_codes_that_pages_can_have_are_known() -> None:
    raised = re.compile(r"\b(?:PageError|ArchiveDamaged)\(\s*\"(\w+)\"")
    codes = {code for path in JOBS.rglob("*.py") for code in raised.findall(path.read_text())}
    assert codes == POLICY | FAULTS and not POLICY & FAULTS
