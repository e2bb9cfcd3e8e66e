"""`scripts/run quality --data DIR`: how well weights clean, beside doing nothing and beside other cleaners.

Sections, each of which `--only` runs by itself:
  pairs   DIR/noisyoffice: error to the truth, and how far Tesseract's reading is from the clean page's
  dibco   DIR/dibco/*: F-measure and the like of the result, cut at half grey
  scales  the same pages two to four times as large
  pages   full pages rendered from DIR/born-digital-pdf and damaged by code: how white the paper is, CER
  real    DIR/old-books with transcriptions, DIR/office-scans without: CER, Tesseract's confidence
  clean   pages that need no cleaning: what changed, what was lost
  seams   the difference that tiles make
  cost    seconds a page beside the article's network, parameters
  tables  nothing is measured

--model, --hold-out, --only, --without and --curve may be given more than once. If --hold-out matches files
of a section, only those are taken. With --without RULE our weights are measured with all finishing rules and
without that one, beside no peers; no tables are written.

Each run ends by writing the tables of model/README.md (the first of them also into README.md) and the picture
of the trainings. It takes them from the folder of results, which keeps what was measured before: peers and
weights that were measured on the same pages are not measured again.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model.cleaning.finish import RULES
from model.images import DataFault
from model.network.weights import WeightsError
from model.scoring.tesseract import OcrFault, OcrMissing, require_languages
from model.shipped import CLEANER
from scripts.blocks import ROOT, Curve, draw_curves, write_block
from scripts.quality.case import Kind, Method, Task
from scripts.quality.cost import A4, SMALL, cost, seams
from scripts.quality.data import BOOKS_LANGUAGE, Material, ink_task, pairs_task, real_task, scales_task
from scripts.quality.methods import BINARIZERS, FOR_READING, NOTHING, TRUTH, PeerFault, network, peers
from scripts.quality.pages import clean_task, pages_task
from scripts.quality.results import Measurement, Results, console, measure
from scripts.quality.table import SECTIONS, recipes, section_table, shipped_table
from scripts.quality.targets import targets_table

TASKS: Mapping[str, Callable[[Material, ThreadPoolExecutor], Task | None]] = {
    "pairs": pairs_task,
    "dibco": ink_task,
    "scales": scales_task,
    "pages": pages_task,
    "real": real_task,
    "clean": clean_task,
}
READERS = 2
"""Pages that Tesseract reads at once, each on one thread."""


def main() -> None:
    """Parse, measure, write the tables."""
    given = _parse()
    results = Results(given.results)
    try:
        networks = [(path, network(path)) for path in given.model]
        networks += [(path, network(path, without=[rule])) for path in given.model for rule in given.without]
        if given.only != ["tables"]:
            _measure(given, results, networks)
    except (DataFault, WeightsError, OcrFault, PeerFault) as error:
        sys.exit(f"quality: {error}")
    if given.quick or given.without:
        for section in SECTIONS:
            print(f"\n## {section}\n\n{section_table(section, results.of(section))}")
    else:
        _write(results, given.curve)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/run quality", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="the material; scripts/quality/data.py has its layout")
    add("--model", type=Path, action="append", metavar="WEIGHTS", help="default: the shipped ones")
    add("--hold-out", action="append", default=[], metavar="PATTERN", help="of folder/name, as in training")
    add("--only", action="append", choices=[*SECTIONS, "tables"], help="default: all sections")
    add("--pages", type=int, default=24, help="how many pages to render (24)")
    add("--times", type=int, default=5, help="turns to take the best time of (5)")
    add("--fresh", action="store_true", help="measure again what was measured before")
    names = [rule.name for rule in RULES]
    add(
        "--without",
        action="append",
        default=[],
        choices=names,
        help="also measure without this finishing rule",
    )
    add("--quick", action="store_true", help="two pages of a kind, to see that all works; writes no tables")
    add(
        "--results",
        type=Path,
        help="the folder of results (infra/quality; with --quick or --without, one in runs/)",
    )
    add("--curve", action="append", metavar="RUN", help="trainings to draw, by folder of runs/; default: all")
    given = parser.parse_args()
    given.only = given.only or list(SECTIONS)
    given.model = given.model or ([] if given.only == ["tables"] else [CLEANER])
    given.results = given.results or ROOT / _folder(given)
    if given.data is None and any(section in TASKS for section in given.only):
        parser.error("--data is needed: a folder of real scans")
    return given


def _folder(given: argparse.Namespace) -> str:
    """Experiments stay apart from the figures that the tables show."""
    return (
        "runs/quality-quick" if given.quick else "runs/quality-without" if given.without else "infra/quality"
    )


def _measure(given: argparse.Namespace, results: Results, networks: Sequence[tuple[Path, Method]]) -> None:
    reads = _reads()
    material = Material(given.data, given.hold_out, given.pages, given.quick, reads)
    with ThreadPoolExecutor(READERS) as pool:
        for section in given.only:
            if section in TASKS and (reads or section not in ("pages", "real")):
                task = TASKS[section](material, pool)
                if task is None:
                    console.print(f"{section}: nothing of the kind in {given.data}", markup=False)
                    continue
                methods = [*([] if given.without else _others(section)), *(one for _, one in networks)]
                _measure_task(task, methods, results, pool, fresh=given.fresh)
    size, times = (SMALL, 1) if given.quick else (A4, given.times)
    for path, method in networks:
        if "seams" in given.only and method.kind is Kind.OURS:
            results.keep(seams(path, method, size))
        if "cost" in given.only:
            results.keep(cost(path, method, size, times))


def _measure_task(
    task: Task, methods: Sequence[Method], results: Results, pool: ThreadPoolExecutor, *, fresh: bool
) -> None:
    fingerprint = task.fingerprint()
    for method in methods:
        known = None if fresh else results.find(task.section, fingerprint, method)
        results.keep(known or measure(task, method, pool))


def _others(section: str) -> list[Method]:
    """The methods that weights are compared with."""
    if section == "dibco":
        return [NOTHING, *peers(BINARIZERS)]
    if section == "clean":
        return [NOTHING, *peers(FOR_READING)]
    return [NOTHING, *([TRUTH] if section == "pages" else []), *peers(FOR_READING)]


def _reads() -> bool:
    """Whether Tesseract and the languages are installed; prints a line if they aren't."""
    try:
        require_languages(f"eng+{BOOKS_LANGUAGE}")
    except OcrMissing as error:
        console.print(f"Nothing will be read: {error}", markup=False)
        return False
    return True


def _write(results: Results, runs: Sequence[str] | None) -> None:
    """Write all blocks of model/README.md."""
    sections: dict[str, list[Measurement]] = {section: results.of(section) for section in SECTIONS}
    blocks = {
        "targets": targets_table(sections),
        "peers": recipes(sections),
        "shipped": shipped_table(),
        **{section: section_table(section, sections[section]) for section in SECTIONS},
        "training": _training(runs),
    }
    for name, text in blocks.items():
        write_block(ROOT / "model" / "README.md", name, text)
    write_block(ROOT / "README.md", "targets", blocks["targets"])
    print(blocks["targets"])


def _training(runs: Sequence[str] | None) -> str:
    """Draw loss and validation of the trainings; the picture in Markdown."""
    logs = sorted((ROOT / "runs").glob("*/log.jsonl"))
    curves = []
    for log in logs:
        if runs is None or log.parent.name in runs:
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            for key, dashed in (("loss", False), ("validation", True)):
                points = [(line["step"], line[key]) for line in lines if key in line]
                if points:
                    steps, values = zip(*points, strict=True)
                    curves.append(Curve(f"{log.parent.name}, {key}", steps, values, dashed))
    if not curves:
        return "No training's log lies in runs/."
    picture = ROOT / "model" / "training.svg"
    draw_curves(picture, curves, "Trainings", ("step", "loss; validation error"), log=True)
    return f"![Loss and validation of the trainings]({picture.name})"


if __name__ == "__main__":
    main()
