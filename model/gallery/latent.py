"""What a space of codes is like: drawn from, walked through, mapped, and measured for gaps and overlap."""

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
"""Cells a side, in which gaps are counted."""
_INSIDE = (2, 98)
"""Percentiles of the codes between which a gap is a gap."""

Codes = NDArray[np.float32]
"""(N, latents)."""


def drawn(model: Variational, codes: Codes) -> Light:
    """(N, 28, 28), 0..1: what codes mean."""
    with torch.inference_mode():
        return model.drawn(torch.from_numpy(codes))[:, 0].numpy()


def manifold(model: Variational, side: int) -> Light:
    """(side * side, 28, 28): two latents walked through in equal steps of a standard normal's probability."""
    steps = torch.special.ndtri(torch.linspace(0.5, side - 0.5, side) / side).numpy()
    y, x = np.meshgrid(steps[::-1], steps, indexing="ij")
    return drawn(model, np.stack([x, y], -1).reshape(-1, 2).astype(np.float32))


def elbo(model: Variational, images: Images, seed: int) -> tuple[float, float]:
    """Means over the images, nats: the ELBO by one draw each, and the KL term in it."""
    rng = torch.Generator().manual_seed(seed)

    def terms(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(model.terms(x, x, rng), 1)

    entropy, divergence = shown(terms, as_light(images)).mean(0)
    return -float(entropy + divergence), float(divergence)


def nearest(images: Images, among: Images) -> tuple[Images, NDArray[np.float32]]:
    """For each image the most similar one of many, and their root mean square difference, 0..1."""
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
    """The codes of test garments, by two numbers.

    Attributes:
        codes: (N, 2).
        gaps: the share of the field's cells that no code lies in, nor in one beside it.
        overlap: the share of garments most of whose neighbours are of another class.
    """

    codes: Codes
    gaps: float
    overlap: float


def survey(model: Variational, garments: Garments) -> Space:
    """Where the test garments' codes lie, and how."""
    codes = shown(model.code, as_light(garments.test))
    return Space(codes, gaps(codes), overlap(codes, garments.labels))


def gaps(codes: Codes) -> float:
    """The share of cells, 40 by 40 over where most of (N, 2) codes lie, that are empty, as are all beside."""
    low, high = np.percentile(codes, _INSIDE, axis=0)
    counts = np.histogram2d(codes[:, 0], codes[:, 1], _CELLS, [(low[i], high[i]) for i in range(2)])[0]
    around = np.pad(counts, 1)
    near = sum(around[y : y + _CELLS, x : x + _CELLS] for y in range(3) for x in range(3))
    return float((np.asarray(near) == 0).mean())


def overlap(codes: Codes, labels: NDArray[np.uint8]) -> float:
    """The share of codes whose ten nearest others are mostly, or as often as any, of a class not theirs."""
    points, classes, wrong = torch.from_numpy(codes), torch.from_numpy(labels.astype(np.int64)), 0
    count = min(_NEIGHBOURS, len(points) - 1)
    for start in range(0, len(points), 500):
        distances = torch.cdist(points[start : start + 500], points)
        distances[torch.arange(len(distances)), start + torch.arange(len(distances))] = torch.inf
        found = classes[distances.topk(count, largest=False).indices].mode(1).values
        wrong += int((found != classes[start : start + 500]).sum())
    return wrong / len(points)
