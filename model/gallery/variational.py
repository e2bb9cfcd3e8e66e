"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), as in the article.

The encoder gives the mean and the variance of an image's code; a code is drawn from this distribution, and
decoded. The loss is the negative ELBO: the error of the decoded image, plus the distance (KL divergence) of
the codes' distribution from a standard normal one, from which new garments can then be drawn.

The loss of Keras's example and of the article is the mean error of a pixel minus 5e-4 times the mean of
`1 + log var - mean^2 - var`. That is the negative ELBO divided by the number of pixels, with a weight of
0.784 / latents on the KL term: 0.392 for two latents.
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
    """The weight of the KL term in the article's formula; the ELBO's is 1."""
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
        """The means (N, latents) of the codes of images (N, 1, 28, 28), 0..1."""
        return self.mean(self.encoder(x))  # type: ignore[no-any-return]

    def drawn(self, code: Tensor) -> Tensor:
        """The images (N, 1, 28, 28), 0..1, that codes (N, latents) stand for."""
        return torch.sigmoid(self.decoder(code))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in and out, 0..1, decoded from the means of the codes."""
        return self.drawn(self.code(x))

    def terms(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The cross entropy of the pixels and the KL divergence of the code: (N,) each, in nats.

        A grey counts as the probability of a Bernoulli variable, as is usual. The sum is the negative ELBO.
        """
        hidden = self.encoder(given)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        logits = self.decoder(reparameterised(mean, log_variance, rng))
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").flatten(1).sum(1)
        return entropy, kl_divergence(mean, log_variance)

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The negative ELBO per pixel, with a weight on its KL term; mean over the images."""
        entropy, divergence = self.terms(given, wanted, rng)
        return (entropy + self.weight * divergence).mean() / _PIXELS


class PlainCode(Variational):
    """The same layers as a traditional autoencoder: no random codes, and no KL term."""

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The cross entropy, mean over all pixels."""
        return F.binary_cross_entropy_with_logits(self.decoder(self.code(given)), wanted)


def reparameterised(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """Codes drawn from normal distributions, in a form through which gradients reach means and variances."""
    noise = torch.randn(mean.shape, generator=rng, device=mean.device)
    return mean + (log_variance / 2).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(N,), in nats: the divergence of independent normals (N, latents) from standard ones."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
