"""Weights on disk: safetensors (never pickles: weights are untrusted input) and a JSON card beside them.

The card says what the weights were made from and what they score; the network's shape travels inside the
safetensors file, so that a file alone is enough to clean with.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from model.autoencoder import Autoencoder, AutoencoderConfig

ARCHITECTURE = "pumice-gain-unet-1"
SHIPPED = Path(__file__).parent / "weights" / "pumice-1.safetensors"
"""The weights that `pumice clean` uses when none are named."""

MAX_WEIGHTS_BYTES = 256 * 2**20


class WeightsError(ValueError):
    """The file holds no weights that this version can use; the sentence says why and what to do."""


def save_weights(model: Autoencoder, path: Path) -> None:
    """Write float32 safetensors with the network's shape in its metadata, whole or not at all.

    Raises:
        OSError: the folder can't be written.
    """
    tensors = {name: t.detach().float().cpu().contiguous() for name, t in model.state_dict().items()}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, {"architecture": ARCHITECTURE, "config": json.dumps(asdict(model.config))})
    partial.replace(path)


def load_weights(path: Path) -> Autoencoder:
    """Read a network back, in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing, unreadable, no safetensors, too large or of another architecture.
    """
    try:
        size = path.stat().st_size
        if size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"weights {path} are {size} bytes, more than Pumice's can be; check --model")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("architecture") != ARCHITECTURE:
                found = metadata.get("architecture", "unknown")
                raise WeightsError(
                    f"weights {path} are of architecture {found!r}, this version runs {ARCHITECTURE!r}: "
                    "train them again with `pumice train` or use the shipped ones"
                )
            model = Autoencoder(_config_of(metadata))
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except OSError as error:
        raise WeightsError(f"can't read weights {path}: {error.strerror or error}; check --model") from error
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} holds no usable weights ({_first_line(error)}); check --model") from error
    if not all(torch.isfinite(t).all() for t in model.state_dict().values()):
        raise WeightsError(f"weights {path} hold numbers that are not finite: train them again")
    return model.eval()


def _config_of(metadata: dict[str, str]) -> AutoencoderConfig:
    raw: dict[str, Any] = json.loads(metadata["config"])
    return AutoencoderConfig(shuffle=int(raw["shuffle"]), widths=tuple(int(w) for w in raw["widths"]))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


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


def save_card(weights: Path, card: dict[str, Any]) -> None:
    """Write the card beside its weights."""
    card_path(weights).write_text(json.dumps(card, indent=2) + "\n")
