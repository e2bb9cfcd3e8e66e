"""`scripts/enlarge OLD --out FILE`: give weights of pumice-gain-unet-3 layers for large cells.

OLD knew cells of 2 x 2 pixels alone. New layers for cells of 4 x 4 see a page as if at half its size, the
mean of 2 x 2 pixels each, and clean those alike. How the shipped weights were made of those before them:

  git show e378a73:model/weights/pumice-5.safetensors > old.safetensors
  scripts/enlarge old.safetensors --out pumice-6.safetensors
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from model.autoencoder import Autoencoder, AutoencoderConfig
from model.ends import CHANNELS
from model.weights import fingerprint, save_weights

_STEMS, _HEADS = {"stem": 2, "context": 4}, {"gain": 1, "correction": 2}
"""Layers between pixels and branches, with the side of what they see, or say, at once."""


def main() -> None:
    """Parse and do it."""
    parser = argparse.ArgumentParser(
        prog="scripts/enlarge", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = Autoencoder(AutoencoderConfig(cells=(2, 4)))
    model.load_state_dict(enlarged(load_file(given.old)))
    print(fingerprint(save_weights(model, given.out)))


def enlarged(old: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names and in the shapes of pumice-gain-unet-4."""
    state = dict(_branches(old))
    for kind in ("weight", "bias"):
        for name in _STEMS:
            state[f"ends.2.{name}.{kind}"] = state[f"ends.4.{name}.{kind}"] = old[f"{name}.{kind}"]
        for name, side in _HEADS.items():
            tensor = old[f"{name}.{kind}"]
            state[f"ends.2.{name}.{kind}"] = tensor
            state[f"ends.4.{name}.{kind}"] = tensor if side == 1 else _each_fourfold(tensor, side)
    for name, side in _STEMS.items():
        seen = old[f"{name}.weight"].transpose(0, 1)
        state[f"ends.4.{name}.weight"] = _each_fourfold(seen, side).transpose(0, 1) / 4
    return state


def _branches(old: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What is the same for all cells; each level's block became a sequence of one."""
    for name, tensor in old.items():
        part, *rest = name.split(".")
        if part in ("encoder", "decoder"):
            yield ".".join([part, rest[0], "0", *rest[1:]]), tensor
        elif part not in (*_STEMS, *_HEADS):
            yield name, tensor


def _each_fourfold(planes: Tensor, side: int) -> Tensor:
    """(3 * side * side, ...) planes of cells, as pixel_unshuffle orders them, each for 2 x 2 pixels."""
    grid = planes.reshape(CHANNELS, side, side, *planes.shape[1:])
    return grid.repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(0, 2)


if __name__ == "__main__":
    main()
