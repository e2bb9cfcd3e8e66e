"""The Clopper-Pearson bound: what a random sample says about the rate of faults among all pages."""

import math
from dataclasses import dataclass

CONFIDENCE = 0.95
_STEPS = 60  # of a bisection: each halves the interval


@dataclass(frozen=True)
class SampleFinding:
    """The result of a sample of unflagged pages.

    Attributes:
        decided: the number of drawn pages that were decided.
        rejected: the number of rejected pages among them.
        size: the number of pages that were drawn; None if unknown.
        population: the number of pages that they were drawn from; None if unknown.
        at_most: the upper bound on the share of faulty pages, with CONFIDENCE, 0 to 1.
    """

    decided: int
    rejected: int
    size: int | None
    population: int | None
    at_most: float


def upper_bound(drawn: int, faulty: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper confidence bound on a rate, 0 to 1, after Clopper and Pearson.

    At this rate, `faulty` or fewer faults among `drawn` have the probability 1 - confidence; without faults
    it is 1 - (1 - confidence) ** (1 / drawn). Drawing without replacement only lowers the true bound.

    Args:
        drawn: the number of pages that were reviewed, above 0.
        faulty: the number of faulty pages among them, 0 to `drawn`.
        confidence: above 0, below 1.
    """
    if faulty >= drawn:
        return 1.0
    low, high = faulty / drawn, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_most(faulty, drawn, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(faulty: int, drawn: int, rate: float) -> float:
    """The probability of `faulty` or fewer faults; `rate` is above 0 and below 1."""
    logs = (
        math.lgamma(drawn + 1) - math.lgamma(count + 1) - math.lgamma(drawn - count + 1)
        + count * math.log(rate) + (drawn - count) * math.log1p(-rate)
        for count in range(faulty + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))
