"""Invented papers and stains: a variational autoencoder of real paper.

Training the cleaner on such papers, too, did not improve it.

The papers come from pairs (`model.drawing.real_paper`). Patches of 256 pixels a side are learnt at a quarter
of their size, which keeps shades, folds and stains. The grain that this loses is measured, and added to what
is drawn. The likelihood is a normal distribution with the best variance for each batch (Rybkin et al. 2021,
arXiv:2006.13202), so the KL term needs no weight.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from model.drawing.real_paper import take_apart
from model.drawing.textures import grain
from model.gallery.garments import Images, fingerprint
from model.gallery.latent import nearest
from model.gallery.lessons import Examples, System, SystemSettings, as_images, as_light
from model.gallery.pictures import wall
from model.gallery.studio import Exhibit, Picture, Studio, shown
from model.gallery.variational import kl_divergence, reparameterised
from model.images import DataFault
from model.page import Page, Plane, as_grey, crop

PATCH, SIDE, LATENTS = 256, 64, 32
STEPS, BATCH = 2000, 64
_EPOCH = 250
_WIDTHS = (1, 32, 64, 128)
_CELLS = SIDE >> (len(_WIDTHS) - 1)
_PIXELS = SIDE * SIDE
_TONE, _CONTRAST = 0.85, 4.0
"""Paper is light and has low contrast; networks learn best from values around 0 with a spread of 1."""
_SHOWN, _MEASURED, _KNOWN = 8, 100, 1000


class PaperSource(System):
    """Three convolutions with strides to 32 latents, and their mirror image."""

    grain: Tensor
    """A scalar: the standard deviation of the grain, 0..1."""

    def __init__(self, grain: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("grain", torch.tensor(grain))
        down = [layer for a, b in zip(_WIDTHS, _WIDTHS[1:], strict=False)
                for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]  # fmt: skip
        size = _WIDTHS[-1] * _CELLS**2
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.mean, self.log_variance = nn.Linear(size, LATENTS), nn.Linear(size, LATENTS)
        widths = _WIDTHS[::-1]
        up = [layer for a, b in zip(widths, widths[1:], strict=False)
              for layer in (nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1))]  # fmt: skip
        cells = nn.Unflatten(1, (_WIDTHS[-1], _CELLS, _CELLS))
        self.decoder = nn.Sequential(nn.Linear(LATENTS, size), cells, *up)

    def drawn(self, code: Tensor) -> Tensor:
        """The patches (N, 1, 64, 64), about 0..1, that codes (N, 32) stand for."""
        return _TONE + self.decoder(code) / _CONTRAST  # type: ignore[no-any-return]

    def parameters_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The means and log variances, (N, 32) each, of the codes of patches (N, 1, 64, 64)."""
        hidden = self.encoder(_CONTRAST * (x - _TONE))
        return self.mean(hidden), self.log_variance(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 64, 64) in and out, decoded from the means of the codes."""
        return self.drawn(self.parameters_of(x)[0])

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The negative ELBO per pixel, except for a constant; mean over the patches."""
        mean, log_variance = self.parameters_of(given)
        wrong = (self.drawn(reparameterised(mean, log_variance, rng)) - wanted).square().mean()
        return wrong.log() / 2 + kl_divergence(mean, log_variance).mean() / _PIXELS


@dataclass(frozen=True)
class PaperPatches:
    """Batches of patches of paper, seeded by their step, turned and mirrored at random."""

    papers: Sequence[Page]
    seed: int

    def batches(self, first: int, last: int) -> Iterator[Examples]:
        """The batches of steps first..last-1."""
        for step in range(first, last):
            light = as_light(small(self.patches((self.seed, step), BATCH)))[:, None]
            yield Examples(light, light, step)

    def patches(self, seed: tuple[int, ...], count: int) -> Images:
        """(N, 256, 256) uint8: patches in full size."""
        rng = np.random.default_rng(seed)
        return np.stack([self._patch(rng) for _ in range(count)])

    def _patch(self, rng: Generator) -> Page:
        paper = self.papers[int(rng.integers(0, len(self.papers)))]
        patch = np.rot90(crop(rng, PATCH, paper)[0], int(rng.integers(0, 4)))
        return patch[:, ::-1] if rng.random() < 0.5 else patch  # noqa: PLR2004 - a coin


def small(patches: Images) -> Images:
    """Patches (N, 256, 256) scaled to (N, 64, 64)."""
    return np.stack([_resized(patch, SIDE, cv2.INTER_AREA) for patch in patches]).astype(np.uint8)


def sample_papers(model: PaperSource, rng: Generator, count: int, size: int) -> list[Plane]:
    """Draw patches of invented paper.

    Args:
        model: a trained network.
        rng: source of all random numbers.
        count: the number of patches.
        size: their side in pixels; a patch shows as much paper as 256 pixels did in training.

    Returns:
        The patches, (size, size) float32, 0..1.
    """
    codes = torch.from_numpy(rng.standard_normal((count, LATENTS), np.float32))
    with torch.inference_mode():
        papers = model.drawn(codes)[:, 0].numpy()
    strength = float(model.grain)
    return [
        np.clip(_resized(paper, size, cv2.INTER_CUBIC) + strength * grain(rng, size, size), 0, 1)
        for paper in papers
    ]


def _resized(patch: Page | Plane, size: int, how: int) -> Plane:
    return np.asarray(cv2.resize(patch, (size, size), interpolation=how), np.float32)


def measured_grain(patches: Images) -> float:
    """The standard deviation of what scaling to a quarter loses, 0..1."""
    coarse = [_resized(patch, PATCH, cv2.INTER_CUBIC) for patch in small(patches)]
    return float((as_light(patches) - np.stack(coarse) / 255).std())


def exhibit(studio: Studio) -> Exhibit:
    """Take the papers out of the pairs, train on them, and draw others.

    Raises:
        DataFault: there are no pairs.
    """
    if not studio.pairs:
        raise DataFault("papers needs pairs to take papers from")
    papers = {id(sheet.paper): as_grey(sheet.paper) for sheet in take_apart(studio.pairs)}.values()
    source = PaperPatches(list(papers), studio.seed)
    model = _taught(studio, source)
    known = source.patches((studio.seed, 0, 1), studio.steps(_KNOWN))
    rng = np.random.default_rng((studio.seed, 4))
    drawings = np.stack([as_images(p[None])[0] for p in sample_papers(model, rng, _MEASURED, PATCH)])
    neighbours, distances = nearest(small(drawings), small(known))
    restored = as_images(shown(model, as_light(small(known[:_SHOWN]))))
    return Exhibit(
        "Paper that never was",
        f"A variational autoencoder with {LATENTS} latents of patches from {len(papers)} sheets of real "
        f"paper, Adam, {STEPS:,} batches of {BATCH}.",
        [
            ("RMSE of patches at a quarter of their size, 0–1", f"{_error(model, known):.4f}"),
            ("grain beyond that, standard deviation, 0–1", f"{float(model.grain):.4f}"),
            ("a drawn patch's distance to the nearest known one, RMS, mean", f"{distances.mean():.3f}"),
            ("the least", f"{distances.min():.3f}"),
        ],
        [
            Picture("papers", "Patches of paper, drawn and real.", wall([
                ("drawn", drawings[:4]), ("real", known[:4]),
            ], 1)),
            Picture("papers-small", "Real patches, restored; drawn patches, the nearest real ones.", wall([
                ("real", small(known[:_SHOWN])), ("restored from their codes", restored),
                ("drawn", small(drawings[:_SHOWN])), ("nearest real patch", neighbours[:_SHOWN]),
            ])),
        ],
    )  # fmt: skip


def _taught(studio: Studio, source: PaperPatches) -> PaperSource:
    settings = SystemSettings(
        STEPS, studio.seed, ema=0.998, name="papers", batch=BATCH,
        data=sum(fingerprint(paper) for paper in source.papers),
    )  # fmt: skip
    strength = measured_grain(source.patches((studio.seed, 0, 2), 64))
    held = list(PaperPatches(source.papers, studio.seed + 1).batches(0, 4))
    return studio.train(lambda: PaperSource(strength), settings, source, _EPOCH, held)


def _error(model: PaperSource, patches: Images) -> float:
    light = as_light(small(patches))
    return math.sqrt(float(np.square(shown(model, light)[:, 0] - light).mean(dtype=np.float64)))
