"""Training: a continued one ends as an undisturbed one does, and a broken one says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import WeightsError, load_weights, save_weights
from model.page import Pair
from model.training import cleaner_train as training
from model.training.cleaner_learner import CleanerSettings
from model.training.cleaner_samples import Patches
from model.training.cleaner_train import train, validation_error
from model.training.loss import LossConfig, Truth, restoration_loss, specks
from model.training.settings import TrainingFault

TINY = AutoencoderConfig(widths=(4, 4), blocks=(1, 1))
CONFIG = CleanerSettings(steps=6, seed=1, network=TINY)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(training, "VALIDATE_EVERY", 2)
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
        train(data, CONFIG, tmp_path / "parts", on_step=interrupt)
    assert not (tmp_path / "parts" / "weights.safetensors").exists()
    seen: list[int] = []
    parts = train(data, CONFIG, tmp_path / "parts", on_step=lambda step, loss: seen.append(step))
    assert seen == [4, 6], "it went on after the checkpoint of step 2"
    assert parts.read_bytes() == whole.read_bytes()
    assert train(data, CONFIG, tmp_path / "whole").read_bytes() == whole.read_bytes(), "and then it is done"


def test_the_log_tells_of_every_step_once(tmp_path: Path, data: Patches) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(data, CONFIG, tmp_path, on_step=interrupt)
    train(data, CONFIG, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert all(line["loss"] > 0 for line in lines)


def test_training_changes_the_weights_and_another_seed_changes_them_otherwise(
    tmp_path: Path, data: Patches
) -> None:
    one = load_weights(train(data, CleanerSettings(steps=2, seed=1, network=TINY), tmp_path / "one"))
    two = load_weights(train(data, CleanerSettings(steps=2, seed=2, network=TINY), tmp_path / "two"))
    small, others = one.ends_for(2), two.ends_for(2)
    assert bool(small.gain.weight.any()), "heads start at nothing and leave it"
    assert not torch.equal(small.stem.weight, others.stem.weight)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, data: Patches) -> None:
    train(data, CONFIG, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(TrainingFault, match="other settings: name another --out"):
        train(data, CleanerSettings(steps=7, seed=1, network=TINY), tmp_path)
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
        train(data, CleanerSettings(steps=6, learning_rate=1e30, network=TINY), tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()


def test_fine_tuning_starts_from_weights_and_leaves_them_alone(tmp_path: Path, data: Patches) -> None:
    start = train(data, CONFIG, tmp_path / "first")
    before = start.read_bytes()
    tuned = train(data, CleanerSettings(steps=2, network=TINY), tmp_path / "second", init=start)
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
    save_weights(Autoencoder(AutoencoderConfig((4,), (4, 6), (1, 1))), tmp_path / "other.safetensors")
    with pytest.raises(TrainingFault, match="can't be continued"):
        train(data, CONFIG, tmp_path / "out", init=tmp_path / "other.safetensors")


WEIGHTS = LossConfig(
    ink=3.0,
    lost=1.5,
    squared=6.0,
    tones=7.0,
    bitonal=2.0,
    bitonal_squared=5.0,
    missed=4.0,
    thick=3.0,
    clean=4.0,
)


def loss_of(output: float, clean: float, truth: Truth = Truth.PAGE, ink: float = 0.0) -> float:
    one = torch.ones(1, 1, 2, 2)
    kind = torch.tensor([truth], dtype=torch.uint8)
    return float(restoration_loss(one * output, one, one * clean, one * ink, kind, WEIGHTS))


def test_losing_ink_costs_more_than_leaving_dirt() -> None:
    assert loss_of(0.4, 0.4, ink=1) == 0
    dirt, lost = loss_of(0.5, 1), loss_of(0.5, 0, ink=1)
    assert dirt == pytest.approx(0.5 + 6 * 0.25)
    assert lost == pytest.approx(4 * (0.5 + 6 * 0.25) + 1.5 * 0.5)
    assert loss_of(0.5, 0, Truth.TONES, ink=1) == pytest.approx(7 * lost)
    assert loss_of(0.5, 1, Truth.CLEAN) == pytest.approx(4 * dirt)


def test_a_truth_of_black_and_white_leaves_inks_darkness_open() -> None:
    cut = Truth.BITONAL
    assert loss_of(0.05, 0, cut, ink=1) == loss_of(0.3, 0, cut, ink=1) == 0
    assert loss_of(0.5, 0, cut) == pytest.approx(2 * (1 + 4) * (0.2 + 5 * 0.04)), "ink must not be missed"
    assert loss_of(0.75, 1, cut, ink=0.5) == 0, "paper at an edge may be grey"
    at_edge = 2 * (1 + 3) * (1 + 1.5) * (0.2 + 5 * 0.04)
    assert loss_of(0.5, 1, cut, ink=0.5) == pytest.approx(at_edge), "ink must not be thickened, either"
    assert loss_of(0.75, 1, cut) == pytest.approx(2 * (0.25 + 5 * 0.0625)), "paper elsewhere may not"


def test_specks_far_from_ink_count_more_even_where_they_are_darker_than_black() -> None:
    clean, noisy = torch.ones(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    noisy[..., 16, 16] = 0.2
    assert int(specks(noisy, clean).sum()) == 1

    def loss(predicted: float, truth: Truth = Truth.PAGE) -> float:
        page = torch.where(noisy < 1, predicted, 1.0)
        kind = torch.tensor([truth], dtype=torch.uint8)
        return float(restoration_loss(page, noisy, clean, torch.zeros_like(clean), kind, WEIGHTS)) * 32**2

    assert loss(1) == loss(1.5) == 0
    assert loss(0) == pytest.approx((1 + WEIGHTS.specks) * (1 + 6))
    assert loss(-0.5) == pytest.approx((1 + 6) + WEIGHTS.specks * (1.5 + 6 * 1.5**2)), "no gradient else"
    assert loss(0, Truth.CLEAN) == pytest.approx(4 * (1 + 6)), "what code didn't damage may have dots"
    clean[..., 16, 20] = 0
    assert not specks(noisy, clean).any(), "near ink a dot may be a full stop"


def test_a_shade_is_no_speck() -> None:
    clean, noisy = torch.ones(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    noisy[..., 16:48, 16:48] = 0.3
    assert not specks(noisy, clean)[..., 24:40, 24:40].any()


def test_the_best_validation_is_the_result(
    tmp_path: Path, data: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([0.3, 0.1, 0.2, 0.2, 0.2])
    monkeypatch.setattr(training, "validation_error", lambda *_: next(errors))
    held = data.pairs
    config = CleanerSettings(steps=10, seed=1, network=TINY, patience=2)
    weights = train(data, config, tmp_path, held=held)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["validation"] for line in lines if "validation" in line] == [0.3, 0.1, 0.2, 0.2]
    assert lines[-1]["step"] == 8, "two checks without gain end it"
    assert weights.read_bytes() == (tmp_path / "best.safetensors").read_bytes()
    assert train(data, config, tmp_path, held=held).read_bytes() == weights.read_bytes(), "and it stays ended"


def test_the_validation_error_is_that_of_the_pages() -> None:
    clean = np.where(np.arange(64 * 64).reshape(64, 64) % 2, 255, 204).astype(np.uint8)
    noisy = (clean - 51).astype(np.uint8)
    error = validation_error(Autoencoder(TINY), [Pair("grey", noisy, clean)], torch.device("cpu"))
    assert error == pytest.approx(0.2, abs=1e-3)
    ink = np.where(clean == 255, 255, 0).astype(np.uint8)
    grey = np.where(clean == 255, 200, 100).astype(np.uint8)
    assert validation_error(Autoencoder(TINY), [Pair("cut", grey, ink)], torch.device("cpu")) == 0
    wrong = np.where(clean == 255, 100, 100).astype(np.uint8)
    both = [Pair("grey", noisy, clean), Pair("cut", wrong, ink)]
    found = validation_error(Autoencoder(TINY), both, torch.device("cpu"))
    assert found == pytest.approx(np.sqrt(0.2 * np.sqrt(0.5)), abs=2e-3), "half of the pixels are wrong"
