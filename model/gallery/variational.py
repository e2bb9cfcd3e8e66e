"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), as the article has it.

The encoder says where in the space of codes an image lies, and how surely; a code is drawn from there, and
decoded. The loss is the negative ELBO: how badly the image is told, and how far (KL) the codes are from a
standard normal, from which garments that never were can then be drawn.

Keras's example, and the article with it, takes the mean error of a pixel minus 5e-4 times the mean of
`1 + log var - mean^2 - var`. That is the ELBO's loss, divided by the pixels, with the KL term weighed 0.784 /
latents: 0.392 for two.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.gallery.garments import SIDE
from model.gallery.lessons import System

LATENTS = 2
_WIDTH, _CELLS = 64, 7
_SHAPE = (_WIDTH, _CELLS, _CELLS)
_PIXELS = SIDE * SIDE
_KERAS = 5e-4


def article_weight(latents: int) -> float:
    """What the KL term counts beside the ELBO's, by the article's formula."""
    return 2 * _KERAS * _PIXELS / latents


class Variational(System):
    """Conv32, Conv64 with strides, Dense16, mean and variance; Dense, transposed Conv64 and Conv32, Conv1."""

    def __init__(self, latents: int = LATENTS, weight: float = 1.0) -> None:
        super().__init__()
        self.latents, self.weight = latents, weight
        hidden = max(16, 4 * latents)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, _WIDTH, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(math.prod(_SHAPE), hidden), nn.ReLU(),
        )  # fmt: skip
        self.mean, self.log_variance = nn.Linear(hidden, latents), nn.Linear(hidden, latents)
        self.decoder = nn.Sequential(
            nn.Linear(latents, math.prod(_SHAPE)), nn.ReLU(), nn.Unflatten(1, _SHAPE),
            nn.ConvTranspose2d(_WIDTH, _WIDTH, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(_WIDTH, 32, 3, 2, 1, 1), nn.ReLU(), nn.Conv2d(32, 1, 3, padding=1),
        )  # fmt: skip

    def code(self, x: Tensor) -> Tensor:
        """(N, latents): where (N, 1, 28, 28) images lie."""
        return self.mean(self.encoder(x))  # type: ignore[no-any-return]

    def drawn(self, code: Tensor) -> Tensor:
        """(N, 1, 28, 28), 0..1, of codes (N, latents)."""
        return torch.sigmoid(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in and out, 0..1, by way of the codes' means."""
        return self.drawn(self.code(x))

    def terms(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """(N,) each, nats: the cross entropy of the pixels and the KL divergence of the code.

        Greys count as the odds of a Bernoulli variable, as is the custom; their sum is the negative ELBO.
        """
        hidden = self.encoder(given)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        logits = self.decoder(reparameterised(mean, log_variance, rng))
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").flatten(1).sum(1)
        return entropy, kl_divergence(mean, log_variance)

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The negative ELBO by the pixel, mean over the images, its KL term weighed."""
        entropy, divergence = self.terms(given, wanted, rng)
        return (entropy + self.weight * divergence).mean() / _PIXELS


class PlainCode(Variational):
    """The same layers as a traditional autoencoder: nothing is drawn, and nothing said of the codes."""

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The cross entropy of a pixel, mean over all."""
        return F.binary_cross_entropy_with_logits(self.decoder(self.code(given)), wanted)


def reparameterised(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """Codes drawn from normal distributions so that gradients reach their means and variances."""
    noise = torch.randn(mean.shape, generator=rng, device=mean.device)
    return mean + (log_variance / 2).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(N,), nats: of independent normals (N, latents) from standard ones."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
