"""The article's systems do what they are known for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.gallery.contractive import Contractive, change
from model.gallery.denoising import Denoising
from model.gallery.garments import Garments, salt_and_pepper
from model.gallery.lessons import SystemSettings, as_light
from model.gallery.sparse import Sparse, activity
from model.gallery.studio import Studio, shown
from model.gallery.traditional import (
    Traditional,
    error,
    principal_angles,
    principal_components,
    spanned,
)
from model.training.loop import OnStep
from tests.garments import drawn


class Unwatched:
    def begin(self, name: str, steps: int) -> OnStep:
        return lambda step, loss: None


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def studio(out: Path, garments: Garments | None = None, seed: int = 0) -> Studio:
    return Studio(out, seed, False, Unwatched(), garments or drawn())


def of_few_factors(count: int) -> Garments:
    """Images that four patterns explain, each weaker than the one before it."""
    rng = np.random.default_rng(0)
    patterns = np.linalg.qr(rng.standard_normal((28 * 28, 4)))[0]
    images = 128 + (rng.standard_normal((count, 4)) * (1200, 900, 700, 500)) @ patterns.T
    images += rng.standard_normal(images.shape) * 2
    whole = np.clip(images, 0, 255).astype(np.uint8).reshape(-1, 28, 28)
    return Garments(whole[200:], whole[:200], whole[:200], np.zeros(200, np.uint8))


def test_the_linear_one_finds_the_principal_components(tmp_path: Path) -> None:
    garments = of_few_factors(4200)
    settings = SystemSettings(ema=0.99, learning_rate=1e-2, name="linear", batch=32)
    model = studio(tmp_path, garments).teach(lambda: Traditional(4, linear=True), settings, 12)
    components = principal_components(garments.known, 4)
    test = as_light(garments.test)
    reached, best = error(shown(model, test)[:, 0], test), error(components.restored(test), test)
    assert best < 0.2 * float(test.std()), "four components explain nearly all"
    assert best * 0.999 <= reached < best * 1.03
    assert principal_angles(spanned(model), components.axes).max() < 5


def test_principal_angles_are_those_of_the_spaces() -> None:
    x, y, z = np.eye(3, dtype=np.float32)
    plane, tilted = np.stack([x, y], 1), np.stack([x + y, y + z], 1)
    assert principal_angles(plane, plane @ np.asarray([[2, 1], [0, 3]], np.float32)) == pytest.approx(
        0, abs=1e-3
    )
    assert principal_angles(plane, np.stack([x, z], 1)) == pytest.approx([90, 0], abs=1e-3)
    assert principal_angles(plane, tilted)[1] == pytest.approx(0, abs=1e-2)


def test_the_denoising_one_takes_noise_away(tmp_path: Path) -> None:
    room = studio(tmp_path)
    model = room.teach(
        Denoising, SystemSettings(name="denoising", batch=8, learning_rate=3e-3), 5, salt_and_pepper
    )
    test = as_light(room.garments.test)
    noisy = salt_and_pepper(np.random.default_rng(5), test)
    assert error(shown(model, noisy)[:, 0], test) < 0.7 * error(noisy, test)
    assert model(torch.rand(1, 1, 37, 22)).shape == (1, 1, 37, 22)


def test_the_sparse_one_is_sparse_and_still_knows_the_images(tmp_path: Path) -> None:
    room = studio(tmp_path)
    test, mean = as_light(room.garments.test), as_light(room.garments.known).mean(0)
    settings = SystemSettings(batch=8)
    dense = room.teach(lambda: Sparse(mean, 0, 800), replace(settings, name="dense"), 4)
    model = room.teach(lambda: Sparse(mean, 1e-3, 800), replace(settings, name="sparse"), 4)
    fires, all_fire = activity(model, test), activity(dense, test)
    assert 0 < fires.mean() < 0.15 and fires.mean() < 0.5 * all_fire.mean()
    ignorant = error(np.broadcast_to(mean, test.shape), test)
    assert error(shown(model, test)[:, 0], test) < 0.85 * ignorant


def test_the_contractive_one_stirs_less(tmp_path: Path) -> None:
    room = studio(tmp_path)
    test = as_light(room.garments.test)
    noise = np.random.default_rng(0).standard_normal(test.shape, np.float32) * 0.1
    settings = SystemSettings(batch=8)
    plain = room.teach(lambda: Contractive(0), replace(settings, name="plain"), 8)
    model = room.teach(lambda: Contractive(1e-2), replace(settings, name="contractive"), 8)
    stirred, plainly = change(model, test, test + noise), change(plain, test, test + noise)
    assert stirred[0] < 0.8 * plainly[0] and stirred[1] < 0.8 * plainly[1]


def test_the_contractive_penalty_is_the_jacobians() -> None:
    torch.manual_seed(0)
    model, x = Contractive(), torch.rand(1, 1, 28, 28)
    jacobian = torch.autograd.functional.jacobian(model.code, x)
    assert torch.allclose(model.jacobian_norm(model.code(x)), jacobian.square().sum(), rtol=1e-4)


class Interrupted(Exception):
    """Stands for a kill."""


class Interrupting:
    """Interrupts a training at its second line of the log."""

    def begin(self, name: str, steps: int) -> OnStep:
        def told(step: int, loss: float) -> None:
            if step > steps // 2:
                raise Interrupted

        return told


def test_a_continued_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    settings = SystemSettings(name="contractive", batch=64)
    studio(tmp_path / "whole").teach(Contractive, settings, 4)
    with pytest.raises(Interrupted):
        replace(studio(tmp_path / "parts"), watcher=Interrupting()).teach(Contractive, settings, 4)
    studio(tmp_path / "parts").teach(Contractive, settings, 4)
    whole, parts = (tmp_path / name / "contractive" / "weights.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


def test_a_training_that_gets_no_better_stops_and_the_best_is_kept(tmp_path: Path) -> None:
    settings = SystemSettings(name="contractive", batch=64, learning_rate=0.5, patience=2)
    model = studio(tmp_path).teach(Contractive, settings, 30)
    lines = (tmp_path / "contractive" / "log.jsonl").read_text().splitlines()
    assert sum("validation" in line for line in lines) < 30
    best = (tmp_path / "contractive" / "best.safetensors").read_bytes()
    assert (tmp_path / "contractive" / "weights.safetensors").read_bytes() == best and not model.training
