"""The figures of a page that the report holds. No import of torch: readers of a report need none."""

from dataclasses import dataclass

LOST, ADDED = 0.92, 0.55
"""A page is suspected from these scores on."""


@dataclass(frozen=True)
class Condition:
    """The condition of a page; every figure lies in 0..1.

    Attributes:
        paper_level: how light the paper is, 1 is white: the median of the paper map. That is the lightest
            3x3 mean in each cell of 0.1 inch, with dark spots of up to half an inch closed (grey closing).
        unevenness: the 95th less the 5th percentile of the paper map. Photographs wider than half an inch
            count as dark paper.
        noise: standard deviation of the paper's grain, 1 is white, by Immerkaer's operator (1996, "Fast noise
            variance estimation"): sqrt(pi / 2) / 6 times the mean of |3x3 Laplacian difference| over what is
            darker than the paper map by less than a fifth, with all of its eight neighbours.
        contrast: how much of the paper's light the ink takes: the 75th percentile of the darkness
            1 - grey / paper map where that is above 0.2; 0 where less than 1 of 10,000 pixels is.
        sharpness: how steep edges of ink are: the 90th percentile of the larger difference to the right or
            lower neighbour, as a share of contrast * paper_level, where that share is above 0.1. A step edge
            has 1; an edge blurred by s pixels has 1 / (s * sqrt(2 * pi)). None without ink.
        ink_coverage: the share of pixels with a darkness above half the contrast.
        dirt: how dark the page is without its ink: the mean of 1 - grey / (95th percentile of the paper map),
            at least 0, over all pixels that are not within 2 pixels of ink.
    """

    paper_level: float
    unevenness: float
    noise: float
    contrast: float
    sharpness: float | None
    ink_coverage: float
    dirt: float


@dataclass(frozen=True)
class Fidelity:
    """How well a cleaned page keeps the ink of its scan.

    Attributes:
        ink_lost: how sure the guard is that a stroke of the scan is missing, at the cell of 4 x 4 pixels
            where it is surest, 0..1.
        ink_added: how sure it is that the cleaned page has a stroke that the scan doesn't have, at the cell
            where it is surest, 0..1.
        changed_fraction: the share of pixels whose grey changed by more than a tenth of white, at 150 dpi.
        ssim: structural similarity (`model.judging.ssim.ssim`) of the pages at 75 dpi; 1 if nothing
        changed.
    """

    ink_lost: float
    ink_added: float
    changed_fraction: float
    ssim: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a person should look at the page, if at all."""
        suspected = {"ink_lost": self.ink_lost >= LOST, "ink_added": self.ink_added >= ADDED}
        return tuple(name for name, is_so in suspected.items() if is_so)
