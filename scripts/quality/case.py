"""What a quality run is made of: cases to clean, and ways (methods) to clean them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from model.page import Page


@dataclass(frozen=True)
class Case:
    """A page to clean, and what is known of it.

    Attributes:
        name: folder and file.
        group: the collection it belongs to; tables have a column for each.
        page: as it was scanned.
        dpi: where it is known.
        truth: the clean page.
        text: what stands on it.
        own_reading: whether `text` is no more than Tesseract's reading of the page as it is.
        languages: of the text, as Tesseract names them.
    """

    name: str
    group: str
    page: Page
    dpi: float | None = None
    truth: Page | None = None
    text: str | None = None
    own_reading: bool = False
    languages: str = "eng"

    @property
    def clean(self) -> Page:
        """The truth of a case that has one."""
        assert self.truth is not None
        return self.truth


Score: TypeAlias = Callable[[Case, Page], dict[str, float]]
"""What a cleaned case is worth, by name; runs on a thread."""


@dataclass(frozen=True)
class Task:
    """A section of the quality run.

    Attributes:
        section: its name on the command line.
        about: the cases, in words.
        cases: what to clean.
        score: what to note of each result.
    """

    section: str
    about: str
    cases: Sequence[Case]
    score: Score

    def fingerprint(self) -> str:
        """The same for the same cases: only figures of one fingerprint may stand in one table."""
        digest = hashlib.sha256()
        for case in self.cases:
            facts = (case.name, case.group, case.dpi, case.text, case.languages, case.page.shape)
            digest.update(repr(facts).encode())
            digest.update(case.page.tobytes())
            digest.update(b"" if case.truth is None else case.truth.tobytes())
        return digest.hexdigest()[:16]


class Kind(StrEnum):
    """What a method is compared as."""

    NOTHING = "nothing"
    TRUTH = "truth"
    PEER = "peer"
    OURS = "ours"


@dataclass(frozen=True)
class Weights:
    """What tables say of a network's weights."""

    sha256: str
    parameters: int
    command: str


@dataclass(frozen=True)
class Method:
    """A way to clean a page.

    Attributes:
        name: in tables.
        kind: what it is compared as.
        how: the command or the recipe; a changed one is measured anew.
        run: takes a case, returns a page of the same height and width.
        missing: what to install where it can't run here.
        weights: of a network.
    """

    name: str
    kind: Kind
    how: str
    run: Callable[[Case], Page]
    missing: str = ""
    weights: Weights | None = None
