"""Ways to clean a page: leaving it alone, the peers as a user would run them, and ours.

- ImageMagick: two recipes that are widely used, division by a blurred copy and Fred Weinhaus' textcleaner.
- median background: division by a running median.
- doxapy: thresholds with its default parameters. Gatos and WAN are left out: they take seconds to
  minutes a page, and are no better than ISauvola on DIBCO.
- unpaper: with the options with which OCRmyPDF cleans, which move nothing on the page.
"""

import importlib.util
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from model.cleaning.cleaner import load_cleaner
from model.cleaning.finish import RULES
from model.images import read_page
from model.network.article import ArticleNetwork
from model.network.weights import card_path, fingerprint, load_weights
from model.page import Page, as_grey, as_written
from scripts.quality.case import Case, Kind, Method, Weights

BINARIZERS = ("Otsu", "Sauvola", "Wolf", "NICK", "Su", "ISauvola", "Bataineh")
FOR_READING = ("Sauvola", "Wolf", "ISauvola")
"""Binarizers whose results Tesseract reads too, which takes long."""

USUAL_DPI = 200
"""Where the resolution is not known: NoisyOffice's."""

_DIVIDE = "-colorspace gray ( +clone -blur 0x20 ) -compose divide_src -composite -normalize"
_TEXTCLEANER = (
    "-colorspace gray -type grayscale -contrast-stretch 0 "
    "( -clone 0 -negate -lat 25x25+10% -contrast-stretch 0 ) "
    "-compose copy_opacity -composite -fill white -opaque none -alpha off"
)
_UNPAPER = (
    "--overwrite --quiet --layout none --mask-scan-size 100 --no-border-align --no-mask-center "
    "--no-grayfilter --no-blackfilter --no-deskew"
)


class PeerFault(RuntimeError):
    """A peer failed; the message says what it printed."""


NOTHING = Method("nothing", Kind.NOTHING, "the page as it is", lambda case: case.page)
TRUTH = Method("the clean page itself", Kind.TRUTH, "the truth", lambda case: case.clean)
"""What a perfect cleaner would score: Tesseract's own mistakes."""


def peers(binarizers: Sequence[str]) -> list[Method]:
    """All peers, with these algorithms of doxapy; `missing` says what isn't installed."""
    return [*_imagemagick(), _median(), *_doxapy(binarizers), _unpaper()]


def network(path: Path, name: str | None = None, without: Sequence[str] = ()) -> Method:
    """Weights as a method: ours, or a peer where they are the article's network.

    Args:
        path: the weights.
        name: in tables; by the file's name if None.
        without: names of finishing rules (`model.cleaning.finish.RULES`) to leave out.

    Raises:
        WeightsError: see `model.network.weights.load_weights`.
    """
    rules = [rule for rule in RULES if rule.name not in without]
    model, cleaner = load_weights(path), load_cleaner(path, rules=rules)
    left_out = f", without {', '.join(without)}" if without else ""
    card = json.loads(card_path(path).read_text()) if card_path(path).exists() else {}
    facts = Weights(fingerprint(path), sum(p.numel() for p in model.parameters()), card.get("command", ""))
    name = name or (path.parent.name if path.stem == "weights" else path.stem)
    article = isinstance(model, ArticleNetwork)

    def run(case: Case) -> Page:
        cleaned = np.asarray(cleaner.clean([case.page])[0], np.uint8)
        # As `pumice clean` does: a 1-bit page stays 1-bit.
        return as_written(case.page, cleaned)

    return Method(
        f"the article's network ({name})" if article else f"Pumice ({name}{left_out})",
        Kind.PEER if article else Kind.OURS,
        f"weights {facts.sha256}{left_out}",
        run,
        weights=facts,
    )


def _imagemagick() -> list[Method]:
    program = next(
        (name for name in ("magick", "convert") if _answers(name, "-version", b"ImageMagick")), None
    )
    missing = "" if program else "apt install imagemagick"

    def method(name: str, recipe: str) -> Method:
        def run(case: Case) -> Page:
            return _run_program(case.page, lambda a, b: [str(program), a, *recipe.split(), b])

        return Method(f"ImageMagick, {name}", Kind.PEER, f"convert IN {recipe} OUT", run, missing)

    return [method("divide by blur", _DIVIDE), method("textcleaner", _TEXTCLEANER)]


def _median() -> Method:
    def run(case: Case) -> Page:
        grey = as_grey(case.page)
        window = round((case.dpi or USUAL_DPI) / 20) * 2 + 1
        background = np.maximum(cv2.medianBlur(grey, window), 1)
        return np.asarray(np.minimum(grey * 255.0 / background + 0.5, 255), np.uint8)

    return Method("median background", Kind.PEER, "page / its median in windows of a tenth of an inch", run)


def _doxapy(binarizers: Sequence[str]) -> list[Method]:
    installed = importlib.util.find_spec("doxapy") is not None

    def method(name: str) -> Method:
        def run(case: Case) -> Page:
            import doxapy  # noqa: PLC0415 - there are packages only for Linux on x86-64

            result = np.array(as_grey(case.page), order="C")
            algorithm = getattr(doxapy.Binarization.Algorithms, name.upper())
            # The package for Python 3.12 and later has it in the module, earlier ones in the class.
            in_place = getattr(doxapy, "update_to_binary", None) or doxapy.Binarization.update_to_binary
            in_place(algorithm, result)
            return result

        missing = "" if installed else "pip install doxapy"
        return Method(f"doxapy, {name}", Kind.PEER, f"doxapy {name}, its own parameters", run, missing)

    return [method(name) for name in binarizers]


def _unpaper() -> Method:
    missing = "" if _answers("unpaper", "--version", b"") else "apt install unpaper"

    def run(case: Case) -> Page:
        dpi = str(round(case.dpi or USUAL_DPI))
        return _run_program(case.page, lambda a, b: ["unpaper", *_UNPAPER.split(), "--dpi", dpi, a, b])

    return Method("unpaper", Kind.PEER, f"unpaper {_UNPAPER} --dpi DPI IN OUT", run, missing)


def _answers(program: str, option: str, expected: bytes) -> bool:
    try:
        run = subprocess.run([program, option], capture_output=True, check=False)
    except OSError:
        return False
    return run.returncode == 0 and expected in run.stdout


def _run_program(page: Page, words: Callable[[str, str], list[str]]) -> Page:
    """Clean a page by a program that turns one file into another."""
    ending = "pgm" if page.ndim == 2 else "ppm"
    with tempfile.TemporaryDirectory(prefix="pumice-quality-") as folder:
        source, result = Path(folder) / f"page.{ending}", Path(folder) / f"cleaned.{ending}"
        Image.fromarray(page).save(source)
        run = subprocess.run(words(str(source), str(result)), capture_output=True, check=False)
        if run.returncode or not result.exists():
            said = run.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"]
            raise PeerFault(f"{run.args[0]} failed with exit code {run.returncode}; it said: {said[-1]}")
        return read_page(result)
