"""What decides the result of a training.

This module imports no torch: the command line shows the learning rates in its help.
"""

from dataclasses import dataclass

LEARNING_RATE, FINE_TUNING_RATE = 2e-3, 1e-3
"""The peak of a training's learning rate: from random weights, and from given ones.

A lower rate keeps more of what the given weights know.
"""


class TrainingFault(RuntimeError):
    """Training can't go on; the sentence says why."""


@dataclass(frozen=True)
class Settings:
    """What decides the result of any training, besides its data and its network.

    Attributes:
        steps: batches to learn from.
        seed: of all random numbers.
        learning_rate: the peak of the rate's cycle; the rate itself where there is no cycle.
        ema: the share of the moving average of the weights that each step keeps, 0..1.
        patience: training stops after this many validations in a row without a better result.
    """

    steps: int
    seed: int = 0
    learning_rate: float = LEARNING_RATE
    ema: float = 0.998
    patience: int = 8
