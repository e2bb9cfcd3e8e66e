"""Where the gallery's networks are trained: the data, the output folder, the seed, the budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from PIL import Image

from model.gallery.garments import Garments, Images, fingerprint
from model.gallery.lessons import (
    Examples,
    Lesson,
    Light,
    Shuffled,
    Spoil,
    System,
    SystemSettings,
    examples,
    glorot,
)
from model.network.weights import load_module
from model.page import Pair
from model.training.loop import Batches, OnStep, Rhythm, learn

SystemT = TypeVar("SystemT", bound=System)

QUICK_STEPS, QUICK_IMAGES = 3, 64
_LOGS = 20
"""Lines of the log, and movements of the bar, an epoch."""
_CHECK = 500
"""Images a batch when nothing is learnt."""


@dataclass(frozen=True)
class Picture:
    """A picture of an exhibit.

    Attributes:
        name: of its file, without an ending.
        caption: what is to be seen.
        image: RGB.
    """

    name: str
    caption: str
    image: Image.Image


@dataclass(frozen=True)
class Exhibit:
    """A system at work.

    Attributes:
        title: what it is called.
        about: what it is and how it was trained.
        figures: what was measured, each as (what, how much).
        pictures: what it makes.
    """

    title: str
    about: str
    figures: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]


class Watcher(Protocol):
    """Told of trainings."""

    def begin(self, name: str, steps: int) -> OnStep:
        """A training begins; what is to be told of its steps."""


@dataclass(frozen=True)
class Studio:
    """What every exhibit is made with.

    Attributes:
        out: each network's training lies in a folder of its name in it.
        seed: all randomness.
        quick: a few steps on a few images, to see that all works.
        watcher: told of the trainings.
        garments: Fashion-MNIST; empty where no system wants it.
        pairs: damaged pages and truths to learn from; empty where there are none.
        held_pairs: others, for figures.
    """

    out: Path
    seed: int
    quick: bool
    watcher: Watcher
    garments: Garments
    pairs: Sequence[Pair] = ()
    held_pairs: Sequence[Pair] = ()

    def steps(self, count: int) -> int:
        """A budget in steps; when all should be quick, no more than a few."""
        return min(count, QUICK_STEPS) if self.quick else count

    def teach(
        self, build: Callable[[], SystemT], recipe: SystemSettings, epochs: float, spoil: Spoil | None = None
    ) -> SystemT:
        """Train a network on the garments; see `train`. The recipe's steps are set by the epochs."""
        data = Shuffled(self.garments.known, recipe.batch, self.seed, spoil)
        held = [
            examples(self.garments.held[i : i + _CHECK], (self.seed, i), spoil)
            for i in range(0, len(self.garments.held), _CHECK)
        ]
        recipe = replace(
            recipe, steps=round(data.epoch * epochs), data=fingerprint(self.garments.known), seed=self.seed
        )
        return self.train(build, recipe, data, data.epoch, held)

    def train(
        self,
        build: Callable[[], SystemT],
        recipe: SystemSettings,
        data: Batches[Examples],
        epoch: int,
        held: Sequence[Examples],
    ) -> SystemT:
        """Train a network, or go on, or take what has been trained.

        Args:
            build: makes it.
            recipe: how.
            data: what it learns from.
            epoch: steps after which it is tried on what was held out.
            held: what was held out.

        Returns:
            The network with its best weights, in evaluation mode on the CPU.

        Raises:
            TrainingFault: see `model.training.loop.learn`.
        """
        recipe = replace(recipe, steps=self.steps(recipe.steps))
        torch.manual_seed(recipe.seed)
        model = build()
        glorot(model)
        lesson = Lesson(model, recipe, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        log = max(1, epoch // _LOGS)
        epoch = max(1, epoch // log) * log
        weights = learn(
            lesson, data, self.out / recipe.name, Rhythm(log, epoch, epoch),
            lambda average: lesson.validation_loss(average, held),
            self.watcher.begin(recipe.name, recipe.steps),
        )  # fmt: skip
        return load_module(weights, lambda metadata: build()).eval()


@torch.inference_mode()
def shown(run: Callable[[torch.Tensor], torch.Tensor], light: Light) -> Light:
    """What a network makes of many images (N, H, W), 0..1: its output, float32, with N rows."""
    parts = [run(torch.from_numpy(light[i : i + _CHECK, None])) for i in range(0, len(light), _CHECK)]
    return torch.cat(parts).float().numpy()


def spread(images: Images, count: int) -> Images:
    """A few of many, spread over all of them."""
    return images[:: max(1, len(images) // count)][:count]
