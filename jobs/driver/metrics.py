"""A run's figures for Prometheus: Ray serves them on its nodes, where its extra `default` is installed.

The driver alone publishes: it hears of every attempt's end and twice a second of what cleaners do, and its
figures outlive cleaners that are killed. So there is one set of time series a run, however large the cluster;
labels hold words of ours, never names of shards or pages. Ray puts `ray_` before each name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

from ray.util.metrics import Counter, Gauge, Histogram

from jobs.driver.counts import Counts, End
from jobs.driver.dispatch import Dispatch
from jobs.driver.tally import Tally
from jobs.shard.meter import Progress
from jobs.shard.policy import FAULTS, POLICY

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Bounds of the histogram's buckets. Its sum is Ray's guess, by the middles of buckets."""

COUNTERS = {
    "pumice_pages_total": ("Pages of committed shards, by what became of them.", ("outcome", "code")),
    "pumice_read_bytes_total": ("Bytes of the sources of committed shards.", ()),
    "pumice_written_bytes_total": ("Bytes of the results of committed shards.", ()),
    "pumice_attempts_total": ("Attempts at shards, by how they ended.", ("end",)),
    "pumice_retries_total": ("Attempts that failed and are made again.", ()),
    "pumice_quarantined_shards_total": ("Shards that were given up.", ()),
    "pumice_network_pixels_total": ("Pixels that the network cleaned, failed attempts' too.", ()),
    "pumice_network_busy_seconds_total": ("Seconds that networks worked, over all cleaners.", ()),
    "pumice_network_starved_seconds_total": ("Seconds that networks waited for pages, alike.", ()),
}
GAUGES = {
    "pumice_shards_waiting": ("Shards that no cleaner has begun.", ()),
    "pumice_shards_in_flight": ("Shards that cleaners are at.", ()),
    "pumice_pages_waiting": ("Pages in the windows of cleaners, by what they wait for.", ("stage",)),
}
HISTOGRAM = "pumice_shard_seconds"

_NOTHING = 5e-324
"""Ray's counters take no 0, but a series has to begin there, or its first increase is none to Prometheus: the
least float there is, which is gone as soon as anything is added."""

_OUTCOMES = [
    ("cleaned", ""),
    *(("passed_through", code) for code in sorted(POLICY | FAULTS)),
    *(("failed", code) for code in sorted(FAULTS)),
]


@contextmanager
def publishing(dispatch: Dispatch, watch: Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """Publish a run's figures whenever its progress is told, and at its end; gives `watch` with that added.

    Ray has to be there. Where it serves no metrics this does nothing, at no more cost.
    """
    metrics = Metrics()

    def publish(progress: Progress) -> None:
        metrics.publish(dispatch, progress)
        watch(progress)

    try:
        yield publish
    finally:
        metrics.publish(dispatch, Progress())


class Metrics:
    """Publishes the figures of one run; made once Ray is there, used from one thread."""

    def __init__(self) -> None:
        """Begin all series whose labels are known."""
        self._counters = {name: Counter(name, *about) for name, about in COUNTERS.items()}
        self._gauges = {name: Gauge(name, *about) for name, about in GAUGES.items()}
        self._seconds = Histogram(HISTOGRAM, "Seconds of an attempt that committed.", list(SECONDS))
        self._sent: dict[tuple[str, ...], float] = {}
        for outcome, code in _OUTCOMES:
            self._count("pumice_pages_total", 0, outcome=outcome, code=code)
        for end in get_args(End):
            self._count("pumice_attempts_total", 0, end=end)

    def publish(self, dispatch: Dispatch, progress: Progress) -> None:
        """Bring everything up to date; `progress` is that of all cleaners."""
        self._publish_ends(dispatch.tally, dispatch.counts)
        self._count("pumice_network_pixels_total", progress.pixels)
        self._count("pumice_network_busy_seconds_total", progress.busy_s)
        self._count("pumice_network_starved_seconds_total", progress.starved_s)
        self._gauges["pumice_shards_waiting"].set(dispatch.waiting)
        self._gauges["pumice_shards_in_flight"].set(progress.in_flight)
        for stage, pages in (("network", progress.to_clean), ("encode", progress.to_encode)):
            self._gauges["pumice_pages_waiting"].set(pages, {"stage": stage})

    def _publish_ends(self, tally: Tally, counts: Counts) -> None:
        for (outcome, code), pages in counts.pages.items():
            self._count("pumice_pages_total", pages, outcome=outcome, code=code)
        for end, attempts in counts.ends.items():
            self._count("pumice_attempts_total", attempts, end=end)
        self._count("pumice_read_bytes_total", tally.bytes_in)
        self._count("pumice_written_bytes_total", tally.bytes_out)
        self._count("pumice_retries_total", counts.retries)
        self._count("pumice_quarantined_shards_total", len(tally.quarantined))
        for seconds in counts.take_seconds():
            self._seconds.observe(seconds)

    def _count(self, name: str, total: float, **labels: str) -> None:
        """Raise a counter to the run's total; what is unchanged costs nothing."""
        series = (name, *labels.values())
        sent = self._sent.get(series)
        if sent is None or total > sent:
            self._counters[name].inc(max(total - (sent or 0), _NOTHING), labels)
            self._sent[series] = total
