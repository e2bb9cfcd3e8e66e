"""The dashboard and the metrics of a run know each other, and Prometheus can read its queries."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobs.driver.metrics import COUNTERS, GAUGES, HISTOGRAM

DASHBOARD = Path(__file__).parents[2] / "infra" / "grafana" / "pumice.json"
GUESSED = f"ray_{HISTOGRAM}_sum"
"""Ray makes it up from the middles of buckets."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> list[str]:
    """All queries of panels."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def exported() -> set[str]:
    """The names under which Ray serves our metrics."""
    plain = {f"ray_{name}" for name in (*COUNTERS, *GAUGES)}
    return plain | {f"ray_{HISTOGRAM}_{end}" for end in ("bucket", "count", "sum")}


def test_every_name_on_the_dashboard_is_a_metric_and_every_metric_is_on_it() -> None:
    variables = [one.get("definition", "") for one in dashboard()["templating"]["list"]]
    used = set(re.findall(r"\bray_\w+", " ".join([*queries(), *variables])))
    assert used <= exported() - {GUESSED}
    assert {name.removesuffix("_bucket") for name in used} == {
        f"ray_{name}" for name in (*COUNTERS, *GAUGES, HISTOGRAM)
    }


def test_labels_that_queries_name_are_there() -> None:
    labels = {label for _, of in (*COUNTERS.values(), *GAUGES.values()) for label in of}
    for query in queries():
        told = re.findall(r"sum by \(([^)]*)\)", query) + re.findall(r"(\w+)(?:=~|!~|!=|=)", query)
        assert set(told) <= labels | {"SessionName", "le"}, query


def test_counters_are_read_as_rates_which_survive_restarts() -> None:
    for query in queries():
        for name in re.findall(r"(?:(?:rate|increase)\()?ray_\w+(?:_total|_bucket)\{", query):
            assert name.startswith(("rate(", "increase(")), query
        assert "sum" in query, "there is a series for every run"


def test_queries_are_promql() -> None:
    promql = pytest.importorskip("promql_parser")
    for query in queries():
        filled = query.replace("$__rate_interval", "1m").replace("$__range", "6h").replace("$cluster", ".+")
        assert "$" not in filled
        promql.parse(filled)
    with pytest.raises(ValueError):
        promql.parse(queries()[0] + ")")


def test_whoever_imports_it_chooses_the_data_source_and_the_clusters() -> None:
    told = dashboard()
    source, cluster = told["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert cluster["name"] == "cluster" and cluster["includeAll"] and cluster["multi"]
    uses = [one["datasource"]["uid"] for one in [cluster, *told["panels"]]]
    uses += [target["datasource"]["uid"] for panel in told["panels"] for target in panel["targets"]]
    assert set(uses) == {"${datasource}"}
    assert all('SessionName=~"$cluster"' in query for query in queries())


def test_panels_do_not_lie_on_one_another() -> None:
    panels = dashboard()["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels) == 14
