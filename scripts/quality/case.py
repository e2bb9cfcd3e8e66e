"""Cases to clean, and methods: ways to clean them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from model.page import Page


@dataclass(frozen=True)
class Case:
    """A page to clean, and what is known about it.

    Attributes:
        name: folder and file.
        group: the collection it belongs to; tables have a column for each.
        page: as it was scanned.
        dpi: None where it is not known.
        truth: the clean page.
        text: what stands on it.
        own_reading: whether `text` is only Tesseract's reading of the scan.
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
"""Figures of a cleaned case, by name; runs on a thread."""


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
        """Equal for equal cases; one table may hold only figures of one fingerprint."""
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
    """What tables say about a network's weights."""

    sha256: str
    parameters: int
    command: str


@dataclass(frozen=True)
class Method:
    """A way to clean a page.

    Attributes:
        name: in tables.
        kind: what it is compared as.
        how: the command or the recipe; if it changes, the method is measured again.
        run: takes a case, returns a page of the same height and width.
        missing: what to install, if it can't run here.
        weights: of a network.
    """

    name: str
    kind: Kind
    how: str
    run: Callable[[Case], Page]
    missing: str = ""
    weights: Weights | None = None
