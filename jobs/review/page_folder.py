"""The folder of a reviewers' page; it is complete when it has an index.html."""

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from jobs.errors import DestinationFull, InputError

MARK = "pumice-report.json"
"""The file that marks a folder as ours: it may be overwritten."""

INDEX = "index.html"
_PARTS = ("app", "data", "pictures")


class Folder:
    """A folder; what an earlier call wrote is removed."""

    def __init__(self, path: Path) -> None:
        """Make or clear the folder.

        Raises:
            InputError: it can't be made or written, or holds something else.
        """
        self.path = path
        with self._writing():
            if path.is_dir() and any(path.iterdir()) and not (path / MARK).is_file():
                raise InputError(
                    f"{path} holds other files: give --html a new folder, or one that an earlier call made."
                )
            path.mkdir(parents=True, exist_ok=True)
            (path / MARK).write_text(json.dumps({"pumice_report": 1}))
            (path / INDEX).unlink(missing_ok=True)
            for part in _PARTS:
                with suppress(FileNotFoundError):
                    shutil.rmtree(path / part)
                (path / part).mkdir()

    def write(self, name: str, data: bytes) -> None:
        """Write a file below app/, data/ or pictures/.

        Raises:
            DestinationFull: no space is left.
            InputError: it can't be written.
        """
        with self._writing():
            (self.path / name).write_bytes(data)

    def finish(self) -> Path:
        """Write the page itself, last, so that an interrupted call leaves no page that looks complete."""
        for source in (files("jobs.review") / "html").iterdir():
            if source.name != INDEX:
                self.write(f"app/{source.name}", source.read_bytes())
        self.write(INDEX, (files("jobs.review") / "html" / INDEX).read_bytes())
        return self.path / INDEX

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DestinationFull(f"{self.path} has no space left: free some and try again.") from error
            raise InputError(
                f"{self.path} can't be written: {error.strerror or error}; give --html another folder."
            ) from error
