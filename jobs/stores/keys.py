"""What every place agrees on: which keys are safe, and which are shown."""

from jobs.errors import StoreError
from jobs.stores.base import LEDGER


def safe(key: str) -> bool:
    """Whether a key is relative, has no empty, `.` or `..` part and no NUL."""
    return "\0" not in key and all(part not in ("", ".", "..") for part in key.split("/"))


def checked(key: str) -> str:
    """The key itself.

    Raises:
        StoreError: it could lead out of its place, or two spellings of it would be one object.
    """
    if not safe(key):
        raise StoreError(
            f"The name {key!r} can't be used: it is empty, absolute, or has an empty, . or .. part."
        )
    return key


def checked_prefix(prefix: str) -> str:
    """A prefix whose whole parts are safe; the last one may be partial or empty.

    Raises:
        StoreError: it could lead out of its place.
    """
    folder, _, rest = prefix.rpartition("/")
    if folder or prefix.startswith("/"):
        checked(folder)
    if rest in (".", "..") or "\0" in rest:
        raise StoreError(f"The prefix {prefix!r} can't be used: it ends in a . or .. part, or holds a NUL.")
    return prefix


def shown(key: str, prefix: str) -> bool:
    """Whether a listing of `prefix` shows `key`: the ledger only to those who ask for it."""
    return key.startswith(prefix) and (prefix.startswith(LEDGER) or not key.startswith(f"{LEDGER}/"))
