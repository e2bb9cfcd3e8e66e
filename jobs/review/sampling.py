"""What a random sample says of all pages: the Clopper-Pearson bound on the rate of faults."""

import math
from dataclasses import dataclass

CONFIDENCE = 0.95
_STEPS = 60  # of a bisection: each halves what is uncertain


@dataclass(frozen=True)
class SampleFinding:
    """What a sample of pages that nothing flagged came to.

    Attributes:
        decided: pages of the sample that were decided.
        rejected: how many of them were rejected.
        size: pages that were drawn; None if it isn't known.
        population: pages that they were drawn from; likewise.
        at_most: the share of faulty pages that is not exceeded, with CONFIDENCE, 0 to 1.
    """

    decided: int
    rejected: int
    size: int | None
    population: int | None
    at_most: float


def upper_bound(drawn: int, faulty: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper confidence bound on a rate, 0 to 1, after Clopper and Pearson.

    It is the rate at which `faulty` or fewer faults among `drawn` are just as unlikely as 1 - confidence; for
    none at all, 1 - (1 - confidence) ** (1 / drawn). Drawing without replacement makes it only safer.

    Args:
        drawn: how many were looked at, above 0.
        faulty: how many of them were faulty, 0 to `drawn`.
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
    """The probability of so many faults or fewer; `rate` is above 0 and below 1."""
    logs = (
        math.lgamma(drawn + 1) - math.lgamma(count + 1) - math.lgamma(drawn - count + 1)
        + count * math.log(rate) + (drawn - count) * math.log1p(-rate)
        for count in range(faulty + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))
