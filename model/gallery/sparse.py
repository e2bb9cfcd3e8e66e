"""The sparse autoencoder: its code is larger than the image, but few units fire for each image.

A penalty on the code's sum prevents it from copying (Ng 2011, CS294A lecture notes); the ReLU makes units
that don't fire exactly zero. The encoder's input is an image's difference from the mean of all images:
without that, half of the units never fire.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from model.gallery.garments import SIDE
from model.gallery.lessons import Light, System, SystemSettings, as_images, as_light
from model.gallery.pictures import mosaic, wall
from model.gallery.studio import Exhibit, Picture, Studio, shown, spread
from model.gallery.traditional import error

UNITS = 1024
PENALTY = 2e-4
EPOCHS = 15
_PIXELS = SIDE * SIDE


class Sparse(System):
    """784 - 1024 - 784, ReLU and sigmoid."""

    mean: Tensor
    """(784,): the mean of all images, 0..1."""

    def __init__(self, mean: Light, penalty: float = PENALTY, units: int = UNITS) -> None:
        """Take the mean (28, 28) of the training images, 0..1."""
        super().__init__()
        self.penalty = penalty
        self.register_buffer("mean", torch.from_numpy(mean.flatten()))
        self.encoder = nn.Sequential(nn.Linear(_PIXELS, units), nn.ReLU())
        self.decoder = nn.Linear(units, _PIXELS)

    def code(self, x: Tensor) -> Tensor:
        """The codes (N, units), 0 or more, of images (N, 1, 28, 28), 0..1."""
        return self.encoder(x.flatten(1) - self.mean)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in and out, 0..1."""
        return self._drawn(self.code(x)).view(x.shape)

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The squared error plus the penalty times the sum of the code; mean over the images."""
        code = self.code(given)
        return F.mse_loss(self._drawn(code).view(wanted.shape), wanted) + self.penalty * code.sum(1).mean()

    def _drawn(self, code: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(code))


def activity(model: Sparse, light: Light) -> NDArray[np.bool_]:
    """(N, units): which units fire for each of the images (N, 28, 28)."""
    return shown(model.code, light) > 0


def exhibit(studio: Studio) -> Exhibit:
    """Train it with and without the penalty, and count the units that fire."""
    mean = as_light(studio.garments.known).mean(0)
    model = studio.teach(lambda: Sparse(mean), SystemSettings(name="sparse"), EPOCHS)
    dense = studio.teach(lambda: Sparse(mean, penalty=0), SystemSettings(name="not-sparse"), EPOCHS)
    test = as_light(studio.garments.test)
    by_model, by_dense = shown(model, test)[:, 0], shown(dense, test)[:, 0]
    fires, all_fire = activity(model, test), activity(dense, test)
    rows = [("garments", test), ("sparse", by_model), ("without the penalty", by_dense)]
    busiest = np.argsort(-fires.mean(0))[:112]
    return Exhibit(
        "Sparse autoencoder",
        f"784 – {UNITS} – 784, ReLU and sigmoid; squared error and {PENALTY} times the sum of the code; "
        f"Adam, {EPOCHS} epochs, batch 128. For comparison, the same network without the penalty.",
        [
            ("RMSE on test garments, 0–1", f"{error(by_model, test):.4f}"),
            ("the same, without the penalty", f"{error(by_dense, test):.4f}"),
            *_counts("sparse", fires),
            *_counts("without the penalty", all_fire),
        ],
        [
            Picture("sparse", "Test garments.", wall([(name, spread(as_images(x), 14)) for name, x in rows])),
            Picture("sparse-units", "What the busiest units draw.", mosaic(_atoms(model, busiest), 16, 2)),
        ],
    )


def _counts(name: str, fires: NDArray[np.bool_]) -> list[tuple[str, str]]:
    low, middle, high = np.percentile(fires.mean(0), (5, 50, 95))
    return [
        (f"units that fire for an image, mean, {name}", f"{fires.sum(1).mean():.0f} of {fires.shape[1]}"),
        (
            f"images a unit fires for, 5th, 50th, 95th percentile, {name}",
            f"{low:.1%}, {middle:.1%}, {high:.1%}",
        ),
        (f"units that fire for no image, {name}", f"{int((~fires.any(0)).sum())}"),
    ]


def _atoms(model: Sparse, units: NDArray[np.intp]) -> NDArray[np.uint8]:
    """(N, 28, 28): the decoder's weights of some units; grey where a unit draws nothing."""
    weights = model.decoder.weight.detach().numpy().T[units].reshape(-1, SIDE, SIDE)
    return as_images(0.5 + weights / (2 * np.abs(weights).max((1, 2), keepdims=True)))
