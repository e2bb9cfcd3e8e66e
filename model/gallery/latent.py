"""The space of a variational autoencoder's codes: images drawn from it, and its gaps and overlaps."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.gallery.garments import Garments, Images
from model.gallery.lessons import Light, as_light
from model.gallery.studio import shown
from model.gallery.variational import Variational

_NEIGHBOURS = 10
_CELLS = 40
"""Gaps are counted in a grid of so many cells a side."""
_INSIDE = (2, 98)
"""The grid reaches from one of these percentiles of the codes to the other."""

Codes = NDArray[np.float32]
"""(N, latents)."""


def drawn(model: Variational, codes: Codes) -> Light:
    """The images (N, 28, 28), 0..1, that codes stand for."""
    with torch.inference_mode():
        return model.drawn(torch.from_numpy(codes))[:, 0].numpy()


def manifold(model: Variational, side: int) -> Light:
    """(side * side, 28, 28): images of a grid of codes, in equal steps of a standard normal's probability."""
    steps = torch.special.ndtri(torch.linspace(0.5, side - 0.5, side) / side).numpy()
    y, x = np.meshgrid(steps[::-1], steps, indexing="ij")
    return drawn(model, np.stack([x, y], -1).reshape(-1, 2).astype(np.float32))


def elbo(model: Variational, images: Images, seed: int) -> tuple[float, float]:
    """The ELBO, from one draw for each image, and its KL term: means over the images, in nats."""
    rng = torch.Generator().manual_seed(seed)

    def terms(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(model.terms(x, x, rng), 1)

    entropy, divergence = shown(terms, as_light(images)).mean(0)
    return -float(entropy + divergence), float(divergence)


def nearest(images: Images, among: Images) -> tuple[Images, NDArray[np.float32]]:
    """For each image the most similar one among others, and their root mean square difference, 0..1."""
    a, b = (as_light(x).reshape(len(x), -1) for x in (images, among))
    found, distances = [], []
    for rows in np.array_split(a, max(1, len(a) // 100)):
        squares = np.square(rows).sum(1)[:, None] + np.square(b).sum(1) - 2 * rows @ b.T
        best = squares.argmin(1)
        found.append(among[best])
        distances.append(np.sqrt(np.maximum(squares[np.arange(len(rows)), best], 0) / b.shape[1]))
    return np.concatenate(found), np.concatenate(distances)


@dataclass(frozen=True)
class Space:
    """The codes of test garments, and two measures of them.

    Attributes:
        codes: (N, 2).
        gaps: see the function `gaps`.
        overlap: see the function `overlap`.
    """

    codes: Codes
    gaps: float
    overlap: float


def survey(model: Variational, garments: Garments) -> Space:
    """The codes of the test garments, measured."""
    codes = shown(model.code, as_light(garments.test))
    return Space(codes, gaps(codes), overlap(codes, garments.labels))


def gaps(codes: Codes) -> float:
    """The share of cells that are empty and have only empty neighbours, of 40 by 40 cells over most codes."""
    low, high = np.percentile(codes, _INSIDE, axis=0)
    counts = np.histogram2d(codes[:, 0], codes[:, 1], _CELLS, [(low[i], high[i]) for i in range(2)])[0]
    around = np.pad(counts, 1)
    near = sum(around[y : y + _CELLS, x : x + _CELLS] for y in range(3) for x in range(3))
    return float((np.asarray(near) == 0).mean())


def overlap(codes: Codes, labels: NDArray[np.uint8]) -> float:
    """The share of codes whose class is not the most frequent one among their ten nearest neighbours."""
    points, classes, wrong = torch.from_numpy(codes), torch.from_numpy(labels.astype(np.int64)), 0
    count = min(_NEIGHBOURS, len(points) - 1)
    for start in range(0, len(points), 500):
        distances = torch.cdist(points[start : start + 500], points)
        distances[torch.arange(len(distances)), start + torch.arange(len(distances))] = torch.inf
        found = classes[distances.topk(count, largest=False).indices].mode(1).values
        wrong += int((found != classes[start : start + 500]).sum())
    return wrong / len(points)
