"""A reader, in a process of its own, that reads a folder all the time and notes what it must never see."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOOK = """
import hashlib, json, sys, threading
from pathlib import Path
root, allowed = Path(sys.argv[1]), json.loads(sys.argv[2])
end = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
looks, partial = 0, set()
while not end.wait(0.001):
    for key, digests in allowed.items():
        try:
            data = (root / key).read_bytes()
        except OSError:
            continue
        looks += 1
        if hashlib.sha256(data).hexdigest() not in digests:
            partial.add(key)
print(json.dumps([looks, sorted(partial)]))
"""


@dataclass
class Seen:
    """How often the whole folder was read, and the keys at which the reader saw no whole result."""

    looks: int = 0
    partial: tuple[str, ...] = ()


@contextmanager
def watching(folder: Path, allowed: dict[str, set[str]]) -> Iterator[Seen]:
    """Look at each key of a folder again and again; only the digests that are allowed may be there."""
    told = json.dumps({key: sorted(digests) for key, digests in allowed.items()})
    seen = Seen()
    with subprocess.Popen(
        [sys.executable, "-c", LOOK, str(folder), told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield seen
        said, _ = process.communicate()
        seen.looks, partial = json.loads(said)
        seen.partial = tuple(partial)


def digest(data: bytes) -> str:
    """As the reader takes it."""
    return hashlib.sha256(data).hexdigest()
