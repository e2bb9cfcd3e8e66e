"""The traditional autoencoder: an encoder, a code of few numbers, a decoder, and the error of its output.

Without nonlinearities it is at best as good as principal components, and its decoder learns to span their
subspace (Baldi & Hornik 1989). With nonlinearities a code of the same size holds more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from model.gallery.garments import SIDE, Images
from model.gallery.lessons import Light, System, SystemSettings, as_images, as_light
from model.gallery.pictures import wall
from model.gallery.studio import Exhibit, Picture, Studio, shown, spread

CODE = 16
EPOCHS = 25
_HIDDEN = 256
_PIXELS = SIDE * SIDE


class Traditional(System):
    """784 - 256 - code - 256 - 784 with ReLU and a sigmoid; if `linear`, 784 - code - 784 without both."""

    def __init__(self, code: int = CODE, linear: bool = False) -> None:
        super().__init__()
        if linear:
            self.encoder: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(_PIXELS, code))
            self.decoder: nn.Module = nn.Linear(code, _PIXELS)
        else:
            self.encoder = nn.Sequential(
                nn.Flatten(), nn.Linear(_PIXELS, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, code)
            )
            self.decoder = nn.Sequential(
                nn.Linear(code, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _PIXELS), nn.Sigmoid()
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in and out, 0..1."""
        return self.decoder(self.encoder(x)).view(x.shape)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Components:
    """Principal components.

    Attributes:
        mean: (P,), the mean of the images as rows of P pixels.
        axes: (P, K), K orthonormal components, the strongest first.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    def restored(self, light: Light) -> Light:
        """Images (N, H, W) restored from their K components."""
        rows = light.reshape(len(light), -1) - self.mean
        return np.asarray((rows @ self.axes @ self.axes.T + self.mean).reshape(light.shape), np.float32)


def principal_components(images: Images, count: int) -> Components:
    """The `count` strongest components of images (N, H, W)."""
    rows = as_light(images).reshape(len(images), -1)
    mean = rows.mean(0)
    scatter = (rows - mean).T @ (rows - mean)
    return Components(mean, np.ascontiguousarray(np.linalg.eigh(scatter)[1][:, ::-1][:, :count]))


def principal_angles(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Angles, in degrees, between the spaces spanned by the columns of two (P, K) matrices; largest first."""
    bases = [np.linalg.qr(columns.astype(np.float64))[0] for columns in (a, b)]
    cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1, 1)))[::-1], np.float32)


def spanned(model: Traditional) -> NDArray[np.float32]:
    """(P, K): the directions that a linear decoder spans."""
    assert isinstance(model.decoder, nn.Linear)
    return model.decoder.weight.detach().numpy()


def error(light: Light, wanted: Light) -> float:
    """The root mean square error of images on the scale 0..1."""
    return float(np.sqrt(np.square(light - wanted).mean(dtype=np.float64)))


def exhibit(studio: Studio) -> Exhibit:
    """Train a nonlinear and a linear one, and compare both with principal components."""
    settings = SystemSettings(ema=0.998, name="traditional")
    model = studio.teach(Traditional, settings, EPOCHS)
    linear = studio.teach(lambda: Traditional(linear=True), SystemSettings(ema=0.998, name="linear"), EPOCHS)
    components = principal_components(studio.garments.known, CODE)
    test = as_light(studio.garments.test)
    by_linear, by_model, by_components = shown(linear, test), shown(model, test), components.restored(test)
    angles = principal_angles(spanned(linear), components.axes)
    rows = [("garments", test), ("autoencoder", by_model[:, 0]), ("linear autoencoder", by_linear[:, 0]),
            ("principal components", by_components)]  # fmt: skip
    picture = wall([(label, spread(as_images(light), 14)) for label, light in rows])
    return Exhibit(
        "Traditional autoencoder",
        f"784 – {_HIDDEN} – {CODE} – {_HIDDEN} – 784, squared error, Adam, {EPOCHS} epochs, batch 128; "
        f"for comparison 784 – {CODE} – 784 without nonlinearities, which is at best as good as {CODE} "
        "principal components.",
        [
            ("RMSE on test garments, 0–1", f"{error(by_model[:, 0], test):.4f}"),
            ("the same, linear", f"{error(by_linear[:, 0], test):.4f}"),
            ("the same, principal components", f"{error(by_components, test):.4f}"),
            ("largest angle between the linear decoder's space and theirs", f"{angles[0]:.1f}°"),
            ("mean angle", f"{angles.mean():.1f}°"),
        ],
        [Picture("traditional", f"Test garments, each restored from {CODE} numbers.", picture)],
    )
