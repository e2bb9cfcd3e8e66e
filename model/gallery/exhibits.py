"""The article's systems, trained and drawn."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from model.gallery import contractive, denoising, generative, papers, sparse, text, traditional
from model.gallery.garments import Garments, load_garments, no_garments
from model.gallery.studio import QUICK_IMAGES, Exhibit, Studio
from model.gallery.systems import SYSTEMS, Data

EXHIBITS: Mapping[str, Callable[[Studio], Exhibit]] = {
    "traditional": traditional.exhibit,
    "denoising": denoising.exhibit,
    "sparse": sparse.exhibit,
    "contractive": contractive.exhibit,
    "text": text.exhibit,
    "variational": generative.exhibit,
    "papers": papers.exhibit,
}


def exhibits(studio: Studio, names: Sequence[str]) -> dict[str, Exhibit]:
    """Train and draw these systems, in the article's order.

    Raises:
        DataFault: the data can't be used.
        TrainingFault: a training can't go on.
    """
    return {name: EXHIBITS[name](studio) for name in SYSTEMS if name in names}


def garments_for(names: Sequence[str], folder: Path, quick: bool) -> Garments:
    """Fashion-MNIST if one of these systems learns from it, only a few images if `quick`; else no images.

    Raises:
        DataFault: see `load_garments`.
    """
    if all(SYSTEMS[name] is not Data.GARMENTS for name in names):
        return no_garments()
    garments = load_garments(folder)
    return garments.some(QUICK_IMAGES) if quick else garments
