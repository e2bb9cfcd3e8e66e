"""Weights on disk: safetensors (never pickles: weights are untrusted input) and a JSON card beside them.

The card records what the weights were made from and what they score. The network's shape is inside the
safetensors file, so that this file alone is enough to clean with.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from model.network.registry import PUMICE, Network, NetworkConfig, architecture_of, build, config_from

MAX_WEIGHTS_BYTES = 256 * 2**20

Module = TypeVar("Module", bound=nn.Module)


class WeightsError(ValueError):
    """The file holds no weights that this version can use; the sentence says why and what to do."""


def save_weights(model: Network, path: Path) -> Path:
    """Write float16 safetensors with the network's shape in its metadata, whole or not at all.

    float16 keeps files small: they travel with each job. Networks run in bfloat16, which has three bits less,
    and weights lie far within float16's range.

    Returns:
        The path.

    Raises:
        OSError: the folder can't be written.
    """
    return save_module(model, path, architecture_of(model), json.dumps(asdict(model.config)))


def save_module(model: nn.Module, path: Path, architecture: str, config: str = "{}") -> Path:
    """Write any network, as `save_weights` does."""
    tensors = {name: t.detach().half().cpu().contiguous() for name, t in model.state_dict().items()}
    metadata = {"architecture": architecture, "config": config}
    partial = path.with_suffix(".part")
    # Not save_file: its files are readable by their owner alone.
    partial.write_bytes(_in_one_order(save(tensors, metadata)))
    return partial.replace(path)


def _in_one_order(content: bytes) -> bytes:
    """Safetensors with a sorted header.

    The library's order of metadata is random, but a file's hash is part of the recipe: equal weights must be
    equal files.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # as the library does, so that tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[end:]


def load_weights(path: Path) -> Network:
    """Read a network back, in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing, unreadable, no safetensors, too large or of another architecture.
    """
    return load_module(path, lambda metadata: build(_config_of(path, metadata)))


def load_module(path: Path, build_from: Callable[[dict[str, str]], Module]) -> Module:
    """Read a network that `build_from` builds from the file's metadata, as `load_weights` does."""
    try:
        tensors, metadata = _read(path)
        model = build_from(metadata)
        model.load_state_dict(tensors)
    except OSError as error:
        raise WeightsError(f"can't read weights {path}: {error.strerror or error}; check --model") from error
    except (SafetensorError, ValueError, TypeError, LookupError, OverflowError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} holds no usable weights ({_reason(error)}); check --model") from error
    return model.eval()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, all finite floats, and the metadata."""
    size = path.stat().st_size
    if not path.is_file():
        raise WeightsError(f"{path} is no file; --model takes a .safetensors file")
    if size > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"weights {path} are {size} bytes, more than Pumice's can be; check --model")
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not all(t.is_floating_point() and t.isfinite().all() for t in tensors.values()):
        raise WeightsError(f"weights {path} hold numbers that are not finite: train them again")
    return tensors, metadata


def _config_of(path: Path, metadata: dict[str, str]) -> NetworkConfig:
    found = metadata.get("architecture", "unknown")
    config = config_from(found, json.loads(metadata.get("config", "{}")))
    if config is None:
        raise WeightsError(
            f"weights {path} are of architecture {found!r}, this version runs {PUMICE!r}: "
            "train them again with `pumice train` or use the shipped ones"
        )
    return config


def _reason(error: Exception) -> str:
    """An error in a few words; torch puts the first tensor that doesn't fit on the second line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:160].rstrip(" .")


def fingerprint(path: Path) -> str:
    """The sha256 of the weights file, hex.

    Raises:
        WeightsError: the file can't be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"can't read weights {path}: {error.strerror or error}; check --model") from error


def card_path(weights: Path) -> Path:
    """Where the card of these weights lies."""
    return weights.with_suffix(".json")


def load_card(weights: Path) -> dict[str, Any]:
    """The card beside these weights; where there is none, nothing but their hash.

    Raises:
        WeightsError: the card is no JSON, or the weights can't be read.
    """
    try:
        card: dict[str, Any] = json.loads(card_path(weights).read_text())
    except FileNotFoundError:
        return {"sha256": fingerprint(weights)}
    except (OSError, ValueError) as error:
        raise WeightsError(f"can't read the card {card_path(weights)}: {error}; mend or remove it") from error
    return card


def save_card(weights: Path, card: dict[str, Any]) -> None:
    """Write the card beside its weights."""
    card_path(weights).write_text(json.dumps(card, indent=2) + "\n")
