"""Publishes a run's totals for Prometheus: Ray's nodes serve them, where its extra `default` is installed.

Only the driver publishes: it hears how every attempt ends, and twice a second what workers do, and its totals
outlive workers that are killed. So a run has one set of time series, however large the cluster is. Labels
have values from a fixed list, never names of shards or pages. Ray puts `ray_` before each name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

from ray.util.metrics import Counter, Gauge, Histogram

from jobs.driver.dispatch import Dispatch
from jobs.driver.tally import End, Tally
from jobs.shard.meter import Progress
from jobs.shard.policy import FAULTS, POLICY

SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Bounds of the histogram's buckets. Ray estimates its sum from the middles of the buckets."""

COUNTERS = {
    "pumice_pages_total": ("Pages of committed shards, by what became of them.", ("outcome", "code")),
    "pumice_read_bytes_total": ("Bytes of the sources of committed shards.", ()),
    "pumice_written_bytes_total": ("Bytes of the results of committed shards.", ()),
    "pumice_attempts_total": ("Attempts at shards, by how they ended.", ("end",)),
    "pumice_retries_total": ("Attempts that failed and are made again.", ()),
    "pumice_quarantined_shards_total": ("Shards that were given up.", ()),
    "pumice_network_pixels_total": ("Pixels that the network cleaned, in failed attempts too.", ()),
    "pumice_network_busy_seconds_total": ("Seconds that networks worked, over all workers.", ()),
    "pumice_network_starved_seconds_total": (
        "Seconds that networks waited for pages, over all workers.",
        (),
    ),
}
GAUGES = {
    "pumice_shards_waiting": ("Shards that no worker has begun.", ()),
    "pumice_shards_in_flight": ("Shards that workers work on.", ()),
    "pumice_pages_waiting": ("Pages in the windows of workers, by what they wait for.", ("stage",)),
}
HISTOGRAM = "pumice_shard_seconds"

_NOTHING = 5e-324
"""Ray's counters refuse 0, but a series must begin there, or Prometheus does not see its first increase. So
it begins with the smallest float there is, which vanishes in the first sum."""

_OUTCOMES = [
    ("cleaned", ""),
    *(("passed_through", code) for code in sorted(POLICY | FAULTS)),
    *(("failed", code) for code in sorted(FAULTS)),
]


@contextmanager
def publishing(dispatch: Dispatch, watch: Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """Publish a run's totals at each report of progress and at its end; returns `watch` with that added.

    Ray has to be connected. If it serves no metrics, this has no effect.
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
    """Publishes the totals of one run; needs a connected Ray, and is used from one thread."""

    def __init__(self) -> None:
        """Begin all series whose labels are known before."""
        self._counters = {name: Counter(name, *about) for name, about in COUNTERS.items()}
        self._gauges = {name: Gauge(name, *about) for name, about in GAUGES.items()}
        self._seconds = Histogram(HISTOGRAM, "Seconds of an attempt that committed.", list(SECONDS))
        self._sent: dict[tuple[str, ...], float] = {}
        for outcome, code in _OUTCOMES:
            self._count("pumice_pages_total", 0, outcome=outcome, code=code)
        for end in get_args(End):
            self._count("pumice_attempts_total", 0, end=end)

    def publish(self, dispatch: Dispatch, progress: Progress) -> None:
        """Publish the current totals; `progress` is that of all workers."""
        self._publish_ends(dispatch.tally)
        self._count("pumice_network_pixels_total", progress.pixels)
        self._count("pumice_network_busy_seconds_total", progress.busy_s)
        self._count("pumice_network_starved_seconds_total", progress.starved_s)
        self._gauges["pumice_shards_waiting"].set(dispatch.waiting)
        self._gauges["pumice_shards_in_flight"].set(progress.in_flight)
        for stage, pages in (("network", progress.to_clean), ("encode", progress.to_encode)):
            self._gauges["pumice_pages_waiting"].set(pages, {"stage": stage})

    def _publish_ends(self, tally: Tally) -> None:
        for (outcome, code), pages in tally.kinds.items():
            self._count("pumice_pages_total", pages, outcome=outcome, code=code)
        for end, attempts in tally.ends.items():
            self._count("pumice_attempts_total", attempts, end=end)
        self._count("pumice_read_bytes_total", tally.bytes_in)
        self._count("pumice_written_bytes_total", tally.bytes_out)
        self._count("pumice_retries_total", tally.retries)
        self._count("pumice_quarantined_shards_total", len(tally.quarantined))
        for seconds in tally.take_seconds():
            self._seconds.observe(seconds)

    def _count(self, name: str, total: float, **labels: str) -> None:
        """Raise a counter to the run's total; does nothing if that has not grown."""
        series = (name, *labels.values())
        sent = self._sent.get(series)
        if sent is None or total > sent:
            self._counters[name].inc(max(total - (sent or 0), _NOTHING), labels)
            self._sent[series] = total
