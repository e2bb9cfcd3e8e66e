"""The trainings of the gallery: their data, output folder, seed and number of steps."""

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
"""Lines of the log in an epoch."""
_CHECK = 500
"""Images in a batch when a network is only run."""


@dataclass(frozen=True)
class Picture:
    """A picture of an exhibit.

    Attributes:
        name: of its file, without the ending.
        caption: what the picture shows.
        image: in RGB.
    """

    name: str
    caption: str
    image: Image.Image


@dataclass(frozen=True)
class Exhibit:
    """What a system does, in figures and pictures.

    Attributes:
        title: the system's name for readers.
        about: what it is and how it was trained.
        figures: measured values, as pairs of name and value.
        pictures: pictures of its results.
    """

    title: str
    about: str
    figures: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]


class Watcher(Protocol):
    """Follows trainings."""

    def begin(self, name: str, steps: int) -> OnStep:
        """Called when a training begins; returns what is called as it goes on."""


@dataclass(frozen=True)
class Studio:
    """What all exhibits are made with.

    Attributes:
        out: the output folder; each training has a folder in it, named after the network.
        seed: of all random numbers.
        quick: whether to take only a few steps, to test that everything works.
        watcher: follows the trainings.
        garments: Fashion-MNIST; empty if no system needs it.
        pairs: damaged pages with truths to learn from; may be empty.
        held_pairs: other pairs, for figures.
    """

    out: Path
    seed: int
    quick: bool
    watcher: Watcher
    garments: Garments
    pairs: Sequence[Pair] = ()
    held_pairs: Sequence[Pair] = ()

    def steps(self, count: int) -> int:
        """The number of steps to take: `count`, or only a few if `quick`."""
        return min(count, QUICK_STEPS) if self.quick else count

    def teach(
        self,
        build: Callable[[], SystemT],
        settings: SystemSettings,
        epochs: float,
        spoil: Spoil | None = None,
    ) -> SystemT:
        """Train a network on the garments for some epochs, which replace the settings' steps; see `train`."""
        data = Shuffled(self.garments.known, settings.batch, self.seed, spoil)
        held = [
            examples(self.garments.held[i : i + _CHECK], (self.seed, i), spoil)
            for i in range(0, len(self.garments.held), _CHECK)
        ]
        settings = replace(
            settings, steps=round(data.epoch * epochs), data=fingerprint(self.garments.known), seed=self.seed
        )
        return self.train(build, settings, data, data.epoch, held)

    def train(
        self,
        build: Callable[[], SystemT],
        settings: SystemSettings,
        data: Batches[Examples],
        epoch: int,
        held: Sequence[Examples],
    ) -> SystemT:
        """Train a network, or continue its training, or load it if it is trained.

        Args:
            build: makes the network.
            settings: the settings of the training.
            data: where batches come from.
            epoch: about the number of steps between validations.
            held: held-out batches to validate on.

        Returns:
            The network with its best weights, in evaluation mode on the CPU.

        Raises:
            TrainingFault: see `model.training.loop.learn`.
        """
        settings = replace(settings, steps=self.steps(settings.steps))
        torch.manual_seed(settings.seed)
        model = build()
        glorot(model)
        lesson = Lesson(model, settings, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        log = max(1, epoch // _LOGS)
        epoch = max(1, epoch // log) * log
        weights = learn(
            lesson, data, self.out / settings.name, Rhythm(log, epoch, epoch),
            lambda average: lesson.validation_loss(average, held),
            self.watcher.begin(settings.name, settings.steps),
        )  # fmt: skip
        return load_module(weights, lambda metadata: build()).eval()


@torch.inference_mode()
def shown(run: Callable[[torch.Tensor], torch.Tensor], light: Light) -> Light:
    """The output of `run` for many images (N, H, W), 0..1, computed in batches: (N, ...) float32."""
    parts = [run(torch.from_numpy(light[i : i + _CHECK, None])) for i in range(0, len(light), _CHECK)]
    return torch.cat(parts).float().numpy()


def spread(images: Images, count: int) -> Images:
    """`count` of the images, evenly spaced."""
    return images[:: max(1, len(images) // count)][:count]
