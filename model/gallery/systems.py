"""The article's systems by name, and what each needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from model.gallery import contractive, denoising, generative, papers, sparse, text, traditional
from model.gallery.studio import Exhibit, Studio


@dataclass(frozen=True)
class Entry:
    """A system of the article.

    Attributes:
        exhibit: trains it and shows it.
        on_pairs: whether it learns from pairs of pages, and not from garments.
    """

    exhibit: Callable[[Studio], Exhibit]
    on_pairs: bool = False


SYSTEMS: Mapping[str, Entry] = {
    "traditional": Entry(traditional.exhibit),
    "denoising": Entry(denoising.exhibit),
    "sparse": Entry(sparse.exhibit),
    "contractive": Entry(contractive.exhibit),
    "text": Entry(text.exhibit, on_pairs=True),
    "variational": Entry(generative.exhibit),
    "papers": Entry(papers.exhibit, on_pairs=True),
}


def exhibits(studio: Studio, names: Sequence[str]) -> dict[str, Exhibit]:
    """Train and draw these systems, in the article's order.

    Raises:
        DataFault: the data won't do.
        TrainingFault: a training can't go on.
    """
    return {name: entry.exhibit(studio) for name, entry in SYSTEMS.items() if name in names}
