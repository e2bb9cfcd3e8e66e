"""The denoising autoencoder: it learns to restore clean images from spoilt ones (Vincent et al. 2008).

The article's network has convolutions of 64, 32 and 16 channels with pooling between them, and their mirror
image. An image passes through 4x4 cells of 16 numbers, so detail is lost. For comparison, a small version of
the cleaner's network learns the same, and filters that need no training are measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.gallery.garments import Images, salt_and_pepper
from model.gallery.lessons import Examples, Light, Shuffled, System, SystemSettings, as_images, as_light
from model.gallery.pictures import wall
from model.gallery.studio import Exhibit, Picture, Studio, shown, spread
from model.network.autoencoder import AutoencoderConfig
from model.network.registry import for_pages
from model.network.weights import load_weights
from model.scoring.measures import psnr
from model.training.cleaner_learner import CleanerSettings
from model.training.cleaner_samples import Batch
from model.training.cleaner_train import train

EPOCHS, BATCH, PATIENCE = 20, 2048, 10
_CLEANER = AutoencoderConfig((2,), (48, 96), (2, 1))
_CLEANER_BATCH = 256


class Denoising(System):
    """The article's network; see the module's docstring."""

    autocast = True

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 64, 32, 16, 16, 32, 64, 1)
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) in and out, 0..1."""
        sizes, h = [], x
        for layer in self.layers[:3]:
            sizes.append(h.shape[-2:])
            h = F.max_pool2d(F.relu(layer(h)), 2, ceil_mode=True)
        for layer, size in zip(self.layers[3:6], reversed(sizes), strict=True):
            h = F.interpolate(F.relu(layer(h)), size=size)
        return torch.sigmoid(self.layers[6](h))


@dataclass(frozen=True)
class _Sheets:
    """Examples for the cleaner's training: garments as ink on white paper."""

    data: Shuffled

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of steps first..last-1."""
        return (_as_batch(batch) for batch in self.data.batches(first, last))


def _as_batch(batch: Examples) -> Batch:
    noisy, clean = (_printed(as_images(light))[:, None] for light in (batch.given, batch.wanted))
    return Batch(noisy, clean, np.zeros_like(clean), np.zeros(len(clean), np.uint8))


def _printed(images: Images) -> Images:
    """Images inverted: light on black becomes ink on paper, and the reverse."""
    return np.asarray(255 - images, np.uint8)


def exhibit(studio: Studio) -> Exhibit:
    """Train the article's and the cleaner's network, and compare both with filters."""
    settings = SystemSettings(patience=PATIENCE, name="denoising", batch=BATCH)
    model = studio.teach(Denoising, settings, EPOCHS, salt_and_pepper)
    clean = studio.garments.test
    noisy = as_images(salt_and_pepper(np.random.default_rng((studio.seed, 1)), as_light(clean)))
    results = {
        "noisy": noisy,
        "article's autoencoder": as_images(shown(model, as_light(noisy))),
        "median filter, 3 by 3": np.stack([cv2.medianBlur(image, 3) for image in noisy]),
        "non-local means": _non_local_means(clean, noisy),
        "cleaner's network": _cleaned(_train_cleaner(studio), noisy),
    }
    rows = [("garments", clean), *results.items()]
    picture = wall([(label, spread(images, 14)) for label, images in rows])
    return Exhibit(
        "Denoising autoencoder",
        "A tenth of the pixels is salt and pepper. Convolutions of 64, 32 and 16 channels with max-pooling, "
        f"mirrored with upsampling; squared error, Adam, up to {EPOCHS} epochs, batch {BATCH:,}, patience "
        f"{PATIENCE}. "
        "For comparison, a small version of the cleaner's network, on as many images, with its own loss and "
        "optimizer.",
        [(f"PSNR, {name}", f"{_psnr(images, clean):.1f} dB") for name, images in results.items()],
        [Picture("denoising", "Test garments, spoilt and restored.", picture)],
    )


def _psnr(images: Images, clean: Images) -> float:
    """The PSNR, in dB, of the error over all images together."""
    return psnr(float(np.sqrt(np.square((images.astype(np.float32) - clean) / 255).mean(dtype=np.float64))))


def _non_local_means(clean: Images, noisy: Images) -> Images:
    """OpenCV's non-local means, with the strength that is best for these images: the most it can do."""
    few, truths = spread(noisy, 200), spread(clean, 200)
    strengths = range(20, 201, 20)
    best = max(strengths, key=lambda h: _psnr(np.stack([_means(image, h) for image in few]), truths))
    return np.stack([_means(image, best) for image in noisy])


def _means(image: Light | Images, strength: int) -> Images:
    return np.asarray(cv2.fastNlMeansDenoising(image, None, strength, 3, 9), np.uint8)


def _train_cleaner(studio: Studio) -> Path:
    data = Shuffled(studio.garments.known, _CLEANER_BATCH, studio.seed, salt_and_pepper)
    steps = studio.steps(EPOCHS * data.epoch)
    config = CleanerSettings(steps, studio.seed, network=_CLEANER)
    return train(
        _Sheets(data), config, studio.out / "denoising-cleaner",
        on_step=studio.watcher.begin("denoising-cleaner", steps),
    )  # fmt: skip


@torch.inference_mode()
def _cleaned(weights: Path, noisy: Images) -> Images:
    clean_pages = for_pages(load_weights(weights), torch.device("cpu"), torch.float32)
    pages = torch.from_numpy(_printed(noisy)[..., None])
    return _printed(np.concatenate([clean_pages(part)[..., 0].numpy() for part in torch.split(pages, 500)]))
