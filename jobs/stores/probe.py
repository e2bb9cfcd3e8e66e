"""The proof that a place can carry the commit protocol: of two conditional writes, one is refused."""

import uuid

from jobs.errors import DestinationFull, InputError, StoreError
from jobs.stores.base import LEDGER, Store


def prove_create(store: Store, unusable: str, careless: str) -> None:
    """Create one object twice with different bytes; the second must lose. It is removed again.

    Args:
        store: the place.
        unusable: begins the sentence where the place can't be written; the reason follows.
        careless: the sentence where both writers win.

    Raises:
        InputError: either.
        DestinationFull: no space is left.
    """
    key = f"{LEDGER}/probe/{uuid.uuid4().hex}"
    try:
        first, second = store.create(key, b"first"), store.create(key, b"second")
        store.delete(key)
    except DestinationFull:
        raise
    except StoreError as error:
        raise InputError(f"{unusable} {error}") from error
    if not first or second:
        raise InputError(careless)
