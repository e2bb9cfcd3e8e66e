"""The variational autoencoder: its formulas by hand, its codes, what is drawn, and the source of papers."""

import math

import numpy as np
import pytest
import torch

from model.gallery.latent import elbo, gaps, manifold, nearest, overlap
from model.gallery.lessons import as_images, as_light
from model.gallery.papers import (
    PaperPatches,
    PaperSource,
    measured_grain,
    sample_papers,
    small,
)
from model.gallery.variational import (
    PlainCode,
    Variational,
    article_weight,
    kl_divergence,
    reparameterised,
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_the_kl_divergence_is_that_of_normals() -> None:
    mean, variance = torch.tensor([[1.0, -2.0], [0.0, 0.0]]), torch.tensor([[0.5, 3.0], [1.0, 1.0]])
    by_hand = 0.5 * (0.5 + 1 - 1 - math.log(0.5)) + 0.5 * (3 + 4 - 1 - math.log(3))
    assert kl_divergence(mean, variance.log()).tolist() == pytest.approx([by_hand, 0], abs=1e-6)


def test_codes_are_drawn_where_they_should_be() -> None:
    mean, log_variance = torch.full((20_000, 1), 3.0), torch.full((20_000, 1), math.log(4.0))
    codes = reparameterised(mean.requires_grad_(), log_variance, torch.Generator().manual_seed(0))
    assert codes.mean().item() == pytest.approx(3, abs=0.05) and codes.std().item() == pytest.approx(
        2, abs=0.05
    )
    codes.sum().backward()  # type: ignore[no-untyped-call]
    assert mean.grad is not None and (mean.grad == 1).all()


def by_hand(model: Variational, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Output, means and log variances of a batch, with the draw that the seed gives."""
    hidden = model.encoder(x)
    mean, log_variance = model.mean(hidden), model.log_variance(hidden)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(7))
    output = model.drawn(mean + torch.exp(log_variance / 2) * noise)
    return tuple(t.detach().double().numpy() for t in (output, mean, log_variance))  # type: ignore[return-value]


@pytest.mark.parametrize("latents", [2, 5])
def test_the_articles_loss_is_keras_s(latents: int) -> None:
    model, x = Variational(latents, article_weight(latents)), torch.rand(6, 1, 28, 28)
    output, mean, log_variance = by_hand(model, x)
    wanted = x.double().numpy()
    entropy = -(wanted * np.log(output) + (1 - wanted) * np.log(1 - output)).mean((1, 2, 3))
    divergence = -5e-4 * (1 + log_variance - mean**2 - np.exp(log_variance)).mean(1)
    loss = model.loss(x, x, torch.Generator().manual_seed(7)).item()
    assert loss == pytest.approx((entropy + divergence).mean(), rel=1e-5)


def test_the_elbo_is_the_sum_of_both_terms() -> None:
    model, x = Variational(), torch.rand(6, 1, 28, 28)
    images = as_images(x)
    x = torch.from_numpy(as_light(images))[:, None]
    output, mean, log_variance = by_hand(model, x)
    wanted = x.double().numpy()
    entropy = -(wanted * np.log(output) + (1 - wanted) * np.log(1 - output)).sum((1, 2, 3)).mean()
    divergence = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(1).mean()
    assert elbo(model, images, 7) == pytest.approx((-entropy - divergence, divergence), rel=1e-4)
    assert model.loss(x, x, torch.Generator().manual_seed(7)).item() * 784 == pytest.approx(
        entropy + divergence, rel=1e-4
    )


def test_without_the_kl_term_nothing_is_drawn() -> None:
    model, x = PlainCode(), torch.rand(3, 1, 28, 28)
    losses = {model.loss(x, x, torch.Generator().manual_seed(seed)).item() for seed in range(3)}
    assert len(losses) == 1


def test_the_manifold_is_walked_from_left_to_right_and_upwards() -> None:
    class Echo(Variational):
        def drawn(self, code: torch.Tensor) -> torch.Tensor:
            return code[:, :, None, None].expand(-1, -1, 28, 28)

    codes = manifold(Echo(), 3)[:, 0, 0].reshape(3, 3)  # the first latent
    assert (np.diff(codes, axis=1) > 0).all() and codes[:, 1] == pytest.approx(0, abs=1e-6)


def test_gaps_and_overlap_are_seen() -> None:
    rng = np.random.default_rng(0)
    whole = rng.random((6000, 2)).astype(np.float32)
    labels = (whole[:, 0] > 0.5).astype(np.uint8)
    torn = whole[(whole[:, 0] < 0.3) | (whole[:, 0] > 0.7)]
    assert gaps(whole) < 0.01 and 0.25 < gaps(torn) < 0.45
    assert overlap(whole, labels) < 0.03
    assert 0.4 < overlap(whole, rng.integers(0, 2, 6000).astype(np.uint8)) < 0.6


def test_the_nearest_is_the_nearest() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28)).astype(np.uint8)
    darker = (images[[7, 250]] // 2).astype(np.uint8)
    found, distances = nearest(darker, np.concatenate([images, darker]))
    assert np.array_equal(found, darker) and distances == pytest.approx(0, abs=1e-3)
    found, distances = nearest(images[[3]], images[4:])
    by_hand = np.sqrt(np.square((images[4:] - images[3].astype(float)) / 255).mean((1, 2)))
    assert distances[0] == pytest.approx(by_hand.min(), rel=1e-3)


def paper(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    shade = np.linspace(150, 240, 300)[:, None] + np.zeros(320)
    return (shade + rng.standard_normal((300, 320)) * 5).clip(0, 255).astype(np.uint8)


def test_patches_of_paper_are_decided_by_their_step() -> None:
    source = PaperPatches([paper(0), paper(1)], seed=3)
    (one, two), (again,) = source.batches(0, 2), source.batches(1, 2)
    assert np.array_equal(two.given, again.given) and not np.array_equal(one.given, two.given)
    assert one.given.shape == (64, 1, 64, 64) and 0 <= one.given.min() <= one.given.max() <= 1


def test_the_grain_is_measured_and_given_back() -> None:
    patches = PaperPatches([paper(0)], seed=3).patches((1,), 4)
    strength = measured_grain(patches)
    assert strength == pytest.approx(5 / 255, rel=0.1)
    source = PaperSource(strength)
    rough = sample_papers(source, np.random.default_rng(0), 2, 200)
    source.grain.zero_()
    smooth = sample_papers(source, np.random.default_rng(0), 2, 200)
    assert all(p.shape == (200, 200) and p.dtype == np.float32 for p in rough)
    assert np.std(rough[0] - smooth[0]) == pytest.approx(strength, rel=0.1)


def test_drawn_papers_are_seeded() -> None:
    torch.manual_seed(0)
    model = PaperSource(0.02)
    draws = [sample_papers(model, np.random.default_rng(seed), 3, 256) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    assert small(as_images(np.stack(draws[0]))).shape == (3, 64, 64)
