"""Weights files are untrusted input: what is no network of ours is refused in one sentence."""

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.registry import PUMICE
from model.network.weights import (
    WeightsError,
    card_path,
    fingerprint,
    load_card,
    load_weights,
    save_card,
    save_weights,
)
from model.shipped import CLEANER

TINY = AutoencoderConfig((2,), (4, 6), (2, 1))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(Autoencoder(TINY), tmp_path / "good.safetensors")
    return tmp_path / "good.safetensors"


def refused(path: Path, why: str) -> None:
    with pytest.raises(WeightsError, match=why) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_network_comes_back_as_it_went(good: Path) -> None:
    torch.manual_seed(0)
    wanted, got = Autoencoder(TINY), load_weights(good)
    assert got.config == TINY and not got.training
    assert all(t.dtype == torch.float32 for t in got.state_dict().values())
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(tensor.half().float(), got.state_dict()[name]), "to the eleven bits that are kept"
    assert [p.name for p in good.parent.iterdir()] == [good.name], "nothing else is left behind"
    assert len(fingerprint(good)) == 64


def test_equal_networks_are_equal_files(good: Path) -> None:
    for turn in range(8):
        save_weights(load_weights(good), good.parent / f"{turn}.safetensors")
        assert fingerprint(good.parent / f"{turn}.safetensors") == fingerprint(good)


def test_others_may_read_what_was_saved(good: Path) -> None:
    plain = good.parent / "plain"
    plain.touch()
    assert good.stat().st_mode == plain.stat().st_mode


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
def test_the_shipped_weights_are_small_enough() -> None:
    assert sum(p.numel() for p in load_weights(CLEANER).parameters()) <= 2_000_000


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "No such file")
    with pytest.raises(WeightsError, match="No such file"):
        fingerprint(tmp_path / "none.safetensors")


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    refused(tmp_path, "is no file")
    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "is no file")


def test_a_file_too_large_to_be_weights(tmp_path: Path) -> None:
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(2**40)
    refused(tmp_path / "large.safetensors", "more than Pumice's can be")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        bytes(range(256)) * 20,
        pickle.dumps({"stem.weight": [1.0]}),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**8) + b"{}",
        struct.pack("<Q", 5) + b"{]]]]",
    ],
    ids=["empty", "short", "garbage", "pickle", "huge header", "long header", "no json"],
)
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    refused(tmp_path / "bad.safetensors", "holds no usable weights")


@pytest.mark.parametrize("keep", [50, 700, -1])
def test_a_truncated_file(good: Path, keep: int) -> None:
    good.write_bytes(good.read_bytes()[:keep])
    refused(good, "holds no usable weights")


def test_a_torch_checkpoint_with_another_name(tmp_path: Path) -> None:
    torch.save(Autoencoder(TINY).state_dict(), tmp_path / "pickle.safetensors")
    refused(tmp_path / "pickle.safetensors", "holds no usable weights")


def tensors() -> dict[str, Tensor]:
    return dict(Autoencoder(TINY).state_dict())


def written(path: Path, holds: dict[str, Tensor], **metadata: str) -> Path:
    config = json.dumps({"cells": [2], "widths": [4, 6], "blocks": [2, 1]})
    save_file(holds, path, {"architecture": PUMICE, "config": config, **metadata})
    return path


def test_another_architecture(tmp_path: Path) -> None:
    refused(
        written(tmp_path / "other.safetensors", tensors(), architecture="unet-9"), "'unet-9'.*pumice train"
    )
    save_file(tensors(), tmp_path / "nameless.safetensors")
    refused(tmp_path / "nameless.safetensors", "'unknown'")


def _changed(**changes: Any) -> str:
    return json.dumps({"cells": [2], "widths": [4, 6], "blocks": [2, 1], **changes})


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "{}",
        "[" * 50_000,
        _changed(cells=None),
        _changed(cells=[float("inf")]),
        _changed(cells=[99]),
        _changed(cells=[]),
        _changed(cells=[2, 4]),
        _changed(cells=[2, 4, 8]),
        _changed(widths=[]),
        _changed(widths=[0, 4]),
        _changed(widths=[10**9, 10**9]),
        _changed(widths=5),
        _changed(widths=[4, 7]),
        _changed(blocks=2),
        _changed(blocks=[2]),
        _changed(blocks=[2, 0]),
        _changed(blocks=[2, 10**9]),
        _changed(blocks=[3, 1]),
    ],
)
def test_a_shape_that_is_none_of_ours(tmp_path: Path, config: str) -> None:
    refused(written(tmp_path / "odd.safetensors", tensors(), config=config), "holds no usable weights")


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    holds = tensors()
    refused(
        written(tmp_path / "a.safetensors", {**holds, "ends.2.stem.weight": torch.zeros(3)}), "stem.weight"
    )
    refused(written(tmp_path / "b.safetensors", {**holds, "more": torch.zeros(3)}), "more")
    del holds["ends.2.gain.bias"]
    refused(written(tmp_path / "c.safetensors", holds), "gain.bias")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(tmp_path: Path, value: float) -> None:
    holds = {**tensors(), "ends.2.stem.bias": torch.full((4,), value)}
    refused(written(tmp_path / "nan.safetensors", holds), "not finite")


def test_numbers_that_are_no_floats(tmp_path: Path) -> None:
    holds = {**tensors(), "ends.2.stem.bias": torch.ones(4, dtype=torch.complex64)}
    refused(written(tmp_path / "complex.safetensors", holds), "not finite")


def test_the_card_lies_beside_its_weights(good: Path) -> None:
    save_card(good, {"seed": 3})
    assert json.loads(card_path(good).read_text()) == {"seed": 3}
    assert card_path(good) == good.parent / "good.json"


def test_cards_come_back_and_missing_ones_leave_the_hash(good: Path) -> None:
    assert load_card(good) == {"sha256": fingerprint(good)}
    save_card(good, {"seed": 3, "init": {"seed": 2}})
    assert load_card(good) == {"seed": 3, "init": {"seed": 2}}
    card_path(good).write_text("{")
    with pytest.raises(WeightsError, match=r"good\.json.*mend or remove it"):
        load_card(good)
