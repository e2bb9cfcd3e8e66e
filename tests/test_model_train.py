"""Training: a continued one ends as an undisturbed one does, and a broken one says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model import train as training
from model.autoencoder import Autoencoder, AutoencoderConfig
from model.data import Pair, Patches
from model.train import TrainConfig, TrainingFault, restoration_loss, train
from model.weights import WeightsError, load_weights, save_weights

TINY = AutoencoderConfig(shuffle=4, widths=(4, 4))
CONFIG = TrainConfig(steps=6, seed=1, network=TINY)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(training, "LOG_EVERY", 2)


@pytest.fixture(scope="module")
def data() -> Patches:
    rng = np.random.default_rng(0)
    clean = np.where(rng.random((64, 64)) < 0.2, 0, 255).astype(np.uint8).repeat(5, 0).repeat(5, 1)
    return Patches([Pair("one", (clean * 0.7 + 20).astype(np.uint8), clean)], [clean], seed=4)


class Interrupted(Exception):
    """Stands for a kill."""


def test_a_continued_training_equals_an_undisturbed_one(tmp_path: Path, data: Patches) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 4:
            raise Interrupted

    whole = train(data, CONFIG, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(data, CONFIG, tmp_path / "parts", progress=interrupt)
    assert not (tmp_path / "parts" / "weights.safetensors").exists()
    seen: list[int] = []
    parts = train(data, CONFIG, tmp_path / "parts", progress=lambda step, loss: seen.append(step))
    assert seen == [4, 6], "it went on after the checkpoint of step 2"
    assert parts.read_bytes() == whole.read_bytes()
    assert train(data, CONFIG, tmp_path / "whole").read_bytes() == whole.read_bytes(), "and then it is done"


def test_the_log_tells_of_every_step_once(tmp_path: Path, data: Patches) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(data, CONFIG, tmp_path, progress=interrupt)
    train(data, CONFIG, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert all(line["loss"] > 0 for line in lines)


def test_training_changes_the_weights_and_another_seed_changes_them_otherwise(
    tmp_path: Path, data: Patches
) -> None:
    one = load_weights(train(data, TrainConfig(steps=2, seed=1, network=TINY), tmp_path / "one"))
    two = load_weights(train(data, TrainConfig(steps=2, seed=2, network=TINY), tmp_path / "two"))
    assert bool(one.gain.weight.any()), "heads start at nothing and leave it"
    assert not torch.equal(one.stem.weight, two.stem.weight)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, data: Patches) -> None:
    train(data, CONFIG, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(TrainingFault, match="other settings: name another --out"):
        train(data, TrainConfig(steps=7, seed=1, network=TINY), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"\x00" * 50])
def test_a_broken_checkpoint_is_named(tmp_path: Path, data: Patches, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingFault, match="checkpoint.pt can't be continued: remove it"):
        train(data, CONFIG, tmp_path)


def test_a_truncated_or_strange_checkpoint_is_named(tmp_path: Path, data: Patches) -> None:
    train(data, CONFIG, tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path)
    torch.save({"step": 3}, path)
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path)
    torch.save([1], path)
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path)


def test_a_checkpoint_runs_no_code(tmp_path: Path, data: Patches) -> None:
    torch.save({"step": Interrupted("a class of ours")}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path)


def test_a_loss_that_is_no_number_stops(tmp_path: Path, data: Patches) -> None:
    with pytest.raises(TrainingFault, match="lower the learning rate"):
        train(data, TrainConfig(steps=6, learning_rate=1e30, network=TINY), tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()


def test_fine_tuning_starts_from_weights_and_leaves_them_alone(tmp_path: Path, data: Patches) -> None:
    start = train(data, CONFIG, tmp_path / "first")
    before = start.read_bytes()
    tuned = train(data, TrainConfig(steps=2, network=TINY), tmp_path / "second", init=start)
    assert start.read_bytes() == before != tuned.read_bytes()
    with pytest.raises(TrainingFault, match="would overwrite.*name another --out"):
        train(data, CONFIG, tmp_path / "first", init=start)
    (tmp_path / "linked").symlink_to(tmp_path / "first")
    with pytest.raises(TrainingFault, match="would overwrite"):
        train(data, CONFIG, tmp_path / "first", init=tmp_path / "linked" / start.name)
    assert start.read_bytes() == before


def test_weights_to_start_from_must_be_usable(tmp_path: Path, data: Patches) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError):
        train(data, CONFIG, tmp_path / "out", init=tmp_path / "bad.safetensors")


def test_continuing_with_a_network_of_another_shape_is_refused(tmp_path: Path, data: Patches) -> None:
    train(data, CONFIG, tmp_path / "out")
    save_weights(Autoencoder(AutoencoderConfig(4, (4, 6))), tmp_path / "other.safetensors")
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path / "out", init=tmp_path / "other.safetensors")


def test_losing_ink_costs_more_than_leaving_dirt() -> None:
    paper = torch.ones(1, 1, 9, 9)
    stroke = paper.clone()
    stroke[..., 4, :] = 0
    assert float(restoration_loss(stroke, stroke, CONFIG)) == 0
    lost = float(restoration_loss(paper, stroke, CONFIG))
    dirt = float(restoration_loss(stroke, paper, CONFIG))
    assert lost > 3 * dirt > 0
    assert dirt == pytest.approx((1 + 4) / 9)
