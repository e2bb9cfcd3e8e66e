"""The contractive autoencoder: small changes of an image change its code little.

The squared norm of the encoder's Jacobian is part of the loss (Rifai et al. 2011). For one layer of sigmoids
it has a closed form: the sum over units of the squared slope times the squared length of the weights.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.gallery.garments import SIDE
from model.gallery.lessons import Light, System, SystemSettings, as_images, as_light
from model.gallery.pictures import wall
from model.gallery.studio import Exhibit, Picture, Studio, shown, spread
from model.gallery.traditional import error

UNITS = 128
PENALTY = 1e-3
EPOCHS = 15
NOISE = 0.1
"""The standard deviation, on the scale 0..1, of the noise that the networks are tested with."""
_PIXELS = SIDE * SIDE


class Contractive(System):
    """784 - 128 - 784, sigmoids; with a penalty of 0 it is a traditional autoencoder."""

    def __init__(self, penalty: float = PENALTY) -> None:
        super().__init__()
        self.penalty = penalty
        self.encoder = nn.Linear(_PIXELS, UNITS)
        self.decoder = nn.Linear(UNITS, _PIXELS)

    def code(self, x: Tensor) -> Tensor:
        """The codes (N, 128), 0..1, of images (N, 1, 28, 28), 0..1."""
        return torch.sigmoid(self.encoder(x.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in and out, 0..1."""
        return self._drawn(self.code(x)).view(x.shape)

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The squared error plus the penalty times the Jacobian's squared norm; mean over the images."""
        code = self.code(given)
        wrong = F.mse_loss(self._drawn(code).view(wanted.shape), wanted)
        return wrong + self.penalty * self.jacobian_norm(code).mean()

    def jacobian_norm(self, code: Tensor) -> Tensor:
        """(N,): the squared Frobenius norm of the encoder's Jacobian at images with these codes (N, 128)."""
        return (code * (1 - code)).square() @ self.encoder.weight.square().sum(1)

    def _drawn(self, code: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(code))


def change(model: Contractive, light: Light, noisy: Light) -> tuple[float, float]:
    """The root mean square change of the code and of the output under noise, over all numbers and images."""
    return (
        error(shown(model.code, noisy), shown(model.code, light)),
        error(shown(model, noisy), shown(model, light)),
    )


def exhibit(studio: Studio) -> Exhibit:
    """Train it with and without the penalty, and test both with noise."""
    model = studio.teach(Contractive, SystemSettings(name="contractive"), EPOCHS)
    plain = studio.teach(lambda: Contractive(penalty=0), SystemSettings(name="not-contractive"), EPOCHS)
    test = as_light(studio.garments.test)
    noise = np.random.default_rng((studio.seed, 2)).standard_normal(test.shape, np.float32) * NOISE
    noisy = np.asarray(test + noise, np.float32)
    (code, output), (plain_code, plain_output) = (change(each, test, noisy) for each in (model, plain))
    rows = [("garments", test), ("with noise", noisy), ("contractive, of the noisy", shown(model, noisy)),
            ("traditional, of the noisy", shown(plain, noisy))]  # fmt: skip
    picture = wall([(label, spread(as_images(light), 14)) for label, light in rows])
    return Exhibit(
        "Contractive autoencoder",
        f"784 – {UNITS} – 784, sigmoids, squared error and {PENALTY} times the squared norm of the encoder's "
        f"Jacobian; Adam, {EPOCHS} epochs, batch 128. For comparison, the same network without the penalty. "
        f"Both are tested with noise of {NOISE} on the scale 0–1.",
        [
            ("change of the output under noise, RMS", f"{output:.4f}"),
            ("the same, traditional", f"{plain_output:.4f}"),
            ("change of the code under noise, RMS", f"{code:.4f}"),
            ("the same, traditional", f"{plain_code:.4f}"),
            ("RMSE on test garments, 0–1", f"{error(shown(model, test)[:, 0], test):.4f}"),
            ("the same, traditional", f"{error(shown(plain, test)[:, 0], test):.4f}"),
        ],
        [Picture("contractive", "Noisy test garments, and what the networks make of them.", picture)],
    )
