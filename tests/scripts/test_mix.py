from pathlib import Path

import pytest
import torch

from model.guard.network import GuardNetwork, load_guard, save_guard
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import WeightsError, fingerprint, load_card, load_weights, save_card, save_weights
from scripts.mix import Part, mix, parse

KEPT = 2**-10
"""As much of a number is sure in float16."""


def drawn(seed: int, width: int = 4) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(AutoencoderConfig((4,), (width, 6), (1, 1)))


def cleaner(folder: Path, seed: int) -> tuple[Autoencoder, Path]:
    network, path = drawn(seed), folder / f"{seed}.safetensors"
    save_weights(network, path)
    facts = {"architecture": "a", "network": {}, "parameters": 7, "command": f"train {seed}"}
    save_card(path, facts | {"sha256": fingerprint(path)})
    return network, path


def test_a_guards_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = GuardNetwork(), GuardNetwork()
    paths = [save_guard(one, tmp_path / "one"), save_guard(other, tmp_path / "other")]
    mixed = load_guard(mix(parse([str(path) for path in paths]), tmp_path / "mixed"))
    wanted = (one.stem.weight.half().float() + other.stem.weight.half()) / 2
    assert torch.allclose(mixed.stem.weight, wanted, KEPT, 1e-7)
    assert not torch.equal(one.stem.weight, other.stem.weight)


def test_a_cleaners_weighted_mean_and_its_card(tmp_path: Path) -> None:
    (one, first), (other, second) = cleaner(tmp_path, 1), cleaner(tmp_path, 2)
    save_card(second, load_card(second) | {"init": load_card(first)})
    out = mix(parse([f"{first}=3", f"{second}=1"]), tmp_path / "mixed.safetensors")
    mixed = load_weights(out)
    assert isinstance(mixed, Autoencoder)
    wanted = 0.75 * one.up[0].weight.half().float() + 0.25 * other.up[0].weight.half()
    assert torch.allclose(mixed.up[0].weight, wanted, KEPT, 1e-7)
    card = load_card(out)
    assert card["command"] == "scripts/run mix 1.safetensors=0.75 2.safetensors=0.25 --out mixed.safetensors"
    assert card["sha256"] == fingerprint(out)
    assert card["mean"][1]["init"] == {"sha256": card["mean"][0]["sha256"]}, "told once"
    assert [(part["share"], part["command"]) for part in card["mean"]] == [
        (0.75, "train 1"),
        (0.25, "train 2"),
    ]


def test_what_a_mean_was_begun_from_is_told_but_once(tmp_path: Path) -> None:
    (_, first), (_, second), (_, third) = (cleaner(tmp_path, n) for n in (1, 2, 3))
    half = mix(parse([str(first), str(second)]), tmp_path / "half.safetensors")
    save_card(third, load_card(third) | {"init": load_card(half)})
    card = load_card(mix(parse([f"{first}=1", f"{third}=3"]), tmp_path / "mixed.safetensors"))
    before = card["mean"][1]["init"]
    assert before["command"] == load_card(half)["command"]
    assert before["mean"][0] == {"share": 0.5, "sha256": fingerprint(first)}
    assert before["mean"][1]["command"] == "train 2"


def test_weights_of_other_shapes_have_no_mean(tmp_path: Path) -> None:
    _, first = cleaner(tmp_path, 1)
    save_weights(drawn(3, 8), tmp_path / "wide")
    with pytest.raises(WeightsError, match="wide is of another shape than .*1.safetensors"):
        mix([Part(first, 0.5), Part(tmp_path / "wide", 0.5)], tmp_path / "mixed")
    with pytest.raises(WeightsError, match="can't read weights"):
        mix([Part(tmp_path / "none", 1)], tmp_path / "mixed")
