"""Clopper-Pearson against values that are known: the closed form, printed tables, and coverage itself."""

import math

import pytest

from jobs.review.sampling import upper_bound


@pytest.mark.parametrize("drawn", [1, 2, 10, 200, 100_000])
def test_without_faults_it_is_the_closed_form(drawn: int) -> None:
    assert upper_bound(drawn, 0) == pytest.approx(1 - 0.05 ** (1 / drawn), rel=1e-9)


@pytest.mark.parametrize(
    ("drawn", "faulty", "bound"),
    # Upper ends of two-sided 90% intervals, which are one-sided 95% bounds: quantiles of Beta(k + 1, n - k).
    [(10, 1, 0.394163), (20, 2, 0.282619), (30, 3, 0.238598), (100, 5, 0.102253), (200, 1, 0.023499)],
)
def test_known_values(drawn: int, faulty: int, bound: float) -> None:
    assert upper_bound(drawn, faulty) == pytest.approx(bound, abs=5e-6)


@pytest.mark.parametrize(("drawn", "faulty"), [(7, 3), (30, 3), (50, 49), (400, 20)])
def test_at_the_bound_so_few_faults_have_a_chance_of_one_in_twenty(drawn: int, faulty: int) -> None:
    rate = upper_bound(drawn, faulty)
    chance = sum(
        math.comb(drawn, count) * rate**count * (1 - rate) ** (drawn - count) for count in range(faulty + 1)
    )
    assert chance == pytest.approx(0.05, rel=1e-6)


def test_all_faulty_says_nothing_less_than_all() -> None:
    assert upper_bound(5, 5) == 1.0
    assert upper_bound(100, 0, 0.99) == pytest.approx(1 - 0.01**0.01)
