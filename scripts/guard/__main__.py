"""`scripts/run guard`: train the guard that watches over ink, and measure what it finds.

  scripts/run guard train --data DIR --out DIR    trains weights; continues where it stopped
  scripts/run guard choose --data DIR             measures on pages to choose the thresholds by
  scripts/run guard measure --data DIR            measures on other pages; fills the block `guard` and the
                                                  picture of model/README.md

It measures how many planted faults the guard finds, and how many honest pages it flags. The guard learnt from
none of these pages. The thresholds stand in model/judging/figures.py.
"""

import argparse
from pathlib import Path

from model.training.guard_train import GuardSettings
from model.training.settings import FINE_TUNING_RATE, LEARNING_RATE
from scripts.guard.measure import choose, measure
from scripts.guard.train import train

HELD = (
    "*/Font?te_*", "H-DIBCO2012/H0[37]*", "H-DIBCO2012/H11*", "H-DIBCO2010/H05*", "DIBCO2011/P0[17]*",
)  # fmt: skip
"""Pairs that neither the shipped cleaner nor the guard learns from."""


def main() -> None:
    """Parse and run the command."""
    parser = argparse.ArgumentParser(
        prog="scripts/run guard", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--init", type=Path, help="weights to start from")
    training.add_argument("--steps", type=int, default=9000)
    training.add_argument("--seed", type=int, default=7)
    training.add_argument("--focus", type=float, default=0.0, help="the focal loss's exponent")
    choosing, measuring = (commands.add_parser(name) for name in ("choose", "measure"))
    for command in (choosing, measuring):
        command.add_argument("--keep", type=Path, help="the file that keeps the scores; read if it exists")
    for command in (training, choosing, measuring):
        command.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "train":
        rate = FINE_TUNING_RATE if given.init else LEARNING_RATE
        config = GuardSettings(given.steps, given.seed, rate, focus=given.focus)
        print(train(given.data, HELD, given.out, given.init, config))
    elif given.command == "choose":
        choose(given.data, HELD, given.keep)
    else:
        measure(given.data, HELD, given.keep)


if __name__ == "__main__":
    main()
