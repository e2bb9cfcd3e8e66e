"""The weights that a destination keeps: for workers, for `resume`, and as a record of what cleaned it."""

import hashlib

from jobs.config import Recipe
from jobs.errors import StoreError
from jobs.stores.base import LEDGER, Store


def weights_key(recipe: Recipe) -> str:
    """The key of a recipe's weights in a destination."""
    return f"{LEDGER}/weights/{recipe.weights_sha256}.safetensors"


def read_weights(destination: Store, recipe: Recipe) -> bytes:
    """The file of a recipe's weights.

    Raises:
        StoreError: it is missing or was changed.
    """
    weights = destination.get(weights_key(recipe))
    if weights is None or hashlib.sha256(weights).hexdigest() != recipe.weights_sha256:
        raise StoreError(
            f"{destination.url}/{weights_key(recipe)} is missing or damaged: delete it and run again."
        )
    return weights
