"""`scripts/run guard`: train the guard that watches over ink, and measure what it finds.

  scripts/run guard train --data DIR --out DIR      weights; goes on where it stopped
  scripts/run guard choose --data DIR               what it finds of planted faults and flags in vain, on
  pages to
                                                choose the thresholds of model/guard/guard.py by
  scripts/run guard measure --data DIR              the same on other pages; writes the table and the
  picture of
                                                model/README.md

Pages to choose by and pages to measure on are none that the guard learnt from.
"""

import argparse
from pathlib import Path

from jobs.cli.train import FINE_TUNING_RATE, LEARNING_RATE
from model.training.guard_train import GuardSettings
from scripts.guard.measure import choose, measure
from scripts.guard.train import train

HELD = (
    "*/Font?te_*", "H-DIBCO2012/H0[37]*", "H-DIBCO2012/H11*", "H-DIBCO2010/H05*", "DIBCO2011/P0[17]*",
)  # fmt: skip
"""Pairs that the shipped cleaner never learnt from; so doesn't the guard."""


def main() -> None:
    """Parse and do it."""
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
        command.add_argument("--keep", type=Path, help="a file to keep the scores in, or take them from")
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
