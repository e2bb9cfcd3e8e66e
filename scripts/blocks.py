"""What scripts write into the project's pages: blocks, tables, curves, and the machine's name.

A block is the text between `<!-- name -->` and `<!-- /name -->` in a page of Markdown. People write the rest.
"""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.markdown import replace_block, table

__all__ = [
    "ROOT",
    "Curve",
    "draw_curves",
    "machine",
    "replace_block",
    "show_figures",
    "table",
    "write_block",
]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Curve:
    """Points that a line joins."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def machine() -> str:
    """The machine, in words."""
    # 170 MiB, which would distort what a process measures of its own memory
    import torch  # noqa: PLC0415

    from model.device import fast_dtype  # noqa: PLC0415

    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    slower = "" if fast_dtype(torch.device("cpu")) is torch.bfloat16 else " without bfloat16"
    return f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}{slower}{gpu}"


def write_block(page: Path, name: str, text: str) -> None:
    """Put a text into a block of a page of Markdown.

    Raises:
        ValueError: see `replace_block`.
    """
    page.write_text(replace_block(page.read_text(), name, text))


def show_figures(lines: Sequence[str], page: Path | None) -> None:
    """Print what was measured, and put it into the block `figures` of a page, if one is given.

    Raises:
        ValueError: see `replace_block`.
    """
    text = "\n".join(lines)
    print(text)
    if page is not None:
        write_block(page, "figures", text)


def draw_curves(
    picture: Path, curves: Sequence[Curve], title: str, axes: tuple[str, str], log: bool = False
) -> None:
    """Draw curves as an SVG; equal curves give equal files.

    Args:
        picture: the file to write.
        curves: more than one get a legend.
        title: of the picture.
        axes: the names of x and y.
        log: whether y is logarithmic; else y starts at 0.
    """
    import matplotlib  # noqa: PLC0415 - it takes a second, and only pictures need it

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    with pyplot.rc_context({"svg.hashsalt": picture.name}):
        figure, plot = pyplot.subplots(figsize=(7, 3))
        for curve in curves:
            plot.plot(curve.x, curve.y, "--" if curve.dashed else "-", label=curve.label, linewidth=1.2)
        plot.set(xlabel=axes[0], ylabel=axes[1], title=title)
        plot.set(yscale="log") if log else plot.set(ylim=0)
        if len(curves) > 1:
            plot.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.02))
        figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
