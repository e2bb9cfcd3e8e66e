"""Measures of a page against its truth: RMSE, PSNR, and for 1-bit truths those of the DIBCO contests.

DIBCO's measures are implemented here, as no release of doxapy computes them correctly on Python 3.11 (0.9.2
lacks the pseudo-F-measure, and sees 7x7 pixels of DRD's 8x8 blocks); it also runs only on Linux on x86-64.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.judging.ssim import in_same_channels
from model.page import INK, Page, as_grey

Mask = NDArray[np.bool_]

_BLOCK = 8


@dataclass(frozen=True)
class BitonalScore:
    """A 1-bit page compared with its 1-bit truth, by DIBCO's definitions.

    Attributes:
        f_measure: harmonic mean of precision and recall of ink, 0..100 percent.
        pseudo_f: the same with the recall of the truth's skeleton, 0..100 percent.
        psnr: dB; infinite if no pixel is wrong.
        drd: distance reciprocal distortion; 0 if no pixel is wrong, lower is better.
    """

    f_measure: float
    pseudo_f: float
    psnr: float
    drd: float


def rmse(a: Page, b: Page) -> float:
    """Root mean square difference of two pages, 0..1, over all pixels and channels.

    A colour page is compared with a grey one by its luma.

    Raises:
        ValueError: the pages differ in size.
    """
    a, b = in_same_channels(a, b)
    difference = (a.astype(np.float32) - b.astype(np.float32)) / 255
    return float(np.sqrt(np.mean(np.square(difference), dtype=np.float64)))


def psnr(rmse: float) -> float:
    """Peak signal-to-noise ratio in dB of a root mean square error on the scale 0..1; infinite for 0."""
    return float("inf") if rmse == 0 else -20 * float(np.log10(rmse))


def score_bitonal(result: Page, truth: Page) -> BitonalScore:
    """Compare the ink of two pages, each cut at half grey (`INK`), colour by its luma.

    F-measure, PSNR and DRD are those of all DIBCO contests. The pseudo-F-measure is that of H-DIBCO 2010 and
    2012 (Pratikakis, Gatos and Ntirogiannis): plain precision, and recall of the truth's skeleton. Later
    contests weigh each pixel by files that come with their truths, which other pairs don't have, so their
    figures can't be compared with these. If neither page has ink, the result is perfect: 100 percent.

    Raises:
        ValueError: the pages differ in size.
    """
    found, real = (as_grey(page) < INK for page in in_same_channels(result, truth))
    wrong = found != real
    precision = _share_of(found, real)
    return BitonalScore(
        f_measure=_f_measure(precision, _share_of(real, found)),
        pseudo_f=_f_measure(precision, _share_of(skeleton(real), found)),
        psnr=psnr(float(wrong.mean()) ** 0.5),
        drd=_drd(found, real),
    )


def _share_of(whole: Mask, part: Mask) -> float:
    """The share of `whole` that is also in `part`, 0..1; 1 if `whole` is empty."""
    count = int(whole.sum())
    return int((whole & part).sum()) / count if count else 1.0


def _f_measure(precision: float, recall: float) -> float:
    return 200 * precision * recall / (precision + recall) if precision and recall else 0.0


def _drd(found: Mask, real: Mask) -> float:
    """Distance reciprocal distortion (Lu, Kot and Shi 2004).

    Each wrong pixel costs the share of its 5x5 neighbours in the truth that differ from it, weighted by 1 /
    distance. The sum is divided by the number of the truth's 8x8 blocks that have both ink and paper. As in
    DIBCO's own program, blocks that the page's border cuts don't count, nor do neighbours beyond the border.
    """
    y, x = np.mgrid[-2:3, -2:3]
    weights = 1 / np.maximum(np.hypot(y, x), 1)
    weights[2, 2] = 0
    weights = (weights / weights.sum()).astype(np.float32)
    cost = 0.0
    for wrong, others in ((found & ~real, ~real), (real & ~found, real)):
        differ = cv2.filter2D(others.astype(np.float32), -1, weights, borderType=cv2.BORDER_CONSTANT)
        cost += float(differ[wrong].sum(dtype=np.float64))
    rows, columns = (side // _BLOCK for side in real.shape)
    blocks = real[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    mixed = blocks.any(axis=(1, 3)) & ~blocks.all(axis=(1, 3))
    return cost / max(1, int(mixed.sum()))  # a truth without a mixed block counts as one: no infinities


def skeleton(ink: Mask) -> Mask:
    """(H, W): ink thinned to lines that are one pixel wide and as connected as the ink was.

    This is the first algorithm of Guo and Hall 1989, with the conditions as Lam, Lee and Suen 1992 state
    them. It is also MATLAB's `bwmorph(ink, "thin", Inf)`, by which the contests' participants score.
    """
    # Neighbours are numbered as bits, counterclockwise from the east.
    bits = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)
    page = ink.astype(np.uint8)
    left = -1
    while left != (left := int(page.sum())):
        for table in _REMOVABLE:
            around = cv2.filter2D(page, -1, bits, borderType=cv2.BORDER_CONSTANT)
            page &= np.asarray(cv2.LUT(around, table), np.uint8)
    return page.astype(np.bool_)


def _removable() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For both steps of thinning, by neighbourhood: 0 if the middle pixel is removed, 1 if it stays."""
    x = [(np.arange(256) >> bit) & 1 for bit in (*range(8), 0)]  # x[0] is x1 of the paper, x[8] is x1 again
    odd, even = x[0:8:2], x[1:8:2]
    crossings = sum((1 - o) & (e | n) for o, e, n in zip(odd, even, x[2::2], strict=True))
    first = sum(o | e for o, e in zip(odd, even, strict=True))
    second = sum(e | n for e, n in zip(even, x[2::2], strict=True))
    fewest = np.minimum(first, second)
    inner = (crossings == 1) & (fewest >= 2) & (fewest <= 3)  # noqa: PLR2004 - the paper's conditions
    turns = (x[1] | x[2] | (1 - x[7])) & x[0], (x[5] | x[6] | (1 - x[3])) & x[4]
    south, north = ((~(inner & (turn == 0))).astype(np.uint8) for turn in turns)
    return south, north


_REMOVABLE = _removable()
