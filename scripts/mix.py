"""`scripts/run mix`: the mean of weights that were trained from the same ones (Wortsman et al. 2022).

  scripts/run mix A.safetensors=0.7 B.safetensors=0.3 --out C.safetensors
  scripts/run mix A.safetensors B.safetensors --out C.safetensors         in equal shares

arXiv:2203.05482. It takes weights of a cleaner or of a guard. If all have cards, the mean gets a card that
contains them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.guard.network import GuardNetwork, load_guard, save_guard
from model.network.registry import Network
from model.network.weights import (
    WeightsError,
    card_path,
    fingerprint,
    load_card,
    load_weights,
    save_card,
    save_weights,
)


@dataclass(frozen=True)
class Part:
    """Weights, and their share of the mean."""

    path: Path
    share: float


def mix(parts: Sequence[Part], out: Path) -> Path:
    """Write the mean, and its card if all parts have one; returns `out`.

    Raises:
        WeightsError: weights can't be read, or their networks have different shapes.
    """
    networks = [_load(part.path) for part in parts]
    mean = networks[0]
    states = [network.state_dict() for network in networks]
    for part, state in zip(parts, states, strict=True):
        if _shapes(state) != _shapes(states[0]):
            raise WeightsError(f"{part.path} is of another shape than {parts[0].path}: these have no mean")
    shares = torch.tensor([part.share for part in parts])
    mean.load_state_dict(
        {n: torch.tensordot(shares, torch.stack([s[n] for s in states]), 1) for n in states[0]}
    )
    if isinstance(mean, GuardNetwork):
        return save_guard(mean, out)
    save_weights(mean, out)
    if all(card_path(part.path).exists() for part in parts):
        save_card(out, _card(parts, out))
    return out


def _load(path: Path) -> Network | GuardNetwork:
    try:
        return load_guard(path)
    except WeightsError:  # the cleaner's loader also says what else is wrong
        return load_weights(path)


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


def _card(parts: Sequence[Part], out: Path) -> dict[str, Any]:
    """What the first card says of all weights of its shape, and all cards."""
    cards = [load_card(part.path) for part in parts]
    told = {card["sha256"] for card in cards}
    cards = [_begun(card, told) for card in cards]
    named = " ".join(f"{part.path.name}={part.share:g}" for part in parts)
    return {
        **{key: cards[0][key] for key in ("architecture", "network", "parameters")},
        "sha256": fingerprint(out),
        "command": f"scripts/run mix {named} --out {out.name}",
        "mean": [{"share": part.share, **card} for part, card in zip(parts, cards, strict=True)],
    }


def _begun(card: dict[str, Any], told: set[str]) -> dict[str, Any]:
    """A card; weights that are also a part of the mean are told there only."""
    before, parts = card.get("init"), card.get("mean")
    begun: dict[str, Any] = {"init": _once(before, told)} if before else {}
    if parts:
        begun["mean"] = [_once(part, told) for part in parts]
    return {**card, **begun}


def _once(card: dict[str, Any], told: set[str]) -> dict[str, Any]:
    if card.get("sha256") in told:
        return {key: card[key] for key in ("share", "sha256") if key in card}
    return _begun(card, told)


def parse(words: Sequence[str]) -> list[Part]:
    """Parse FILE=SHARE each, or all FILE alone; shares are scaled to sum to 1."""
    split = [word.rpartition("=") for word in words]
    if all(sign for _, sign, _ in split):
        parts = [Part(Path(path), float(share)) for path, _, share in split]
    else:
        parts = [Part(Path(word), 1.0) for word in words]
    total = sum(part.share for part in parts)
    return [Part(part.path, part.share / total) for part in parts]


def main() -> None:
    """Parse, mix, print the path."""
    parser = argparse.ArgumentParser(
        prog="scripts/run mix", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("weights", nargs="+", metavar="FILE[=SHARE]")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(mix(parse(given.weights), given.out))


if __name__ == "__main__":
    main()
