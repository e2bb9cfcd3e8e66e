"""The exhibit of variational autoencoders: the article's loss, the ELBO, more latents, no KL term."""

import numpy as np
from PIL import Image

from model.gallery.garments import Images
from model.gallery.latent import Space, drawn, elbo, manifold, nearest, survey
from model.gallery.lessons import SystemSettings, as_images, as_light
from model.gallery.pictures import class_maps, mosaic, wall
from model.gallery.studio import Exhibit, Picture, Studio, shown, spread
from model.gallery.variational import LATENTS, PlainCode, Variational, article_weight

EPOCHS, BATCH = 4, 16
_MORE = 16
"""The latents of a larger one."""
_SHOWN, _MEASURED, _SIDE = 14, 200, 20


def exhibit(studio: Studio) -> Exhibit:
    """Train four networks, draw from them, and map their codes."""
    weight = article_weight(LATENTS)
    article = studio.teach(lambda: Variational(weight=weight), _article_settings("variational"), EPOCHS)
    proper = studio.teach(Variational, _article_settings("variational-elbo"), EPOCHS)
    plain = studio.teach(PlainCode, _article_settings("variational-none"), EPOCHS)
    more = studio.teach(lambda: Variational(_MORE), _averaged_settings("variational-more"), EPOCHS)
    models = {"the article's": article, "the ELBO's": proper, f"{_MORE} latents": more}
    spaces = {"variational, the article's": survey(article, studio.garments),
              "traditional": survey(plain, studio.garments)}  # fmt: skip
    figures = [_elbo_figure(name, model, studio) for name, model in models.items()]
    figures += [figure for name, space in spaces.items() for figure in _space_figures(name, space)]
    distances, drawings = _samples(models, studio)
    maps = class_maps([(name, space.codes) for name, space in spaces.items()], studio.garments.labels)
    return Exhibit(
        "Variational autoencoder",
        f"Convolutions to {LATENTS} latents and back, RMSprop, batch {BATCH}, {EPOCHS} epochs, once with the "
        f"article's weight of the KL term and once with the ELBO's. The same layers with {_MORE} latents and "
        "averaged Adam show what two latents lose; without the KL term they are a traditional autoencoder.",
        [*figures, *distances],
        [
            Picture("drawn", "Drawn garments, and the nearest training images.", wall(drawings)),
            Picture("variational-restored", "Test garments, restored from codes.", _restored(models, studio)),
            Picture("manifold", "Garments drawn from a grid over the article's two latents.",
                    mosaic(as_images(manifold(article, _SIDE)), _SIDE)),
            Picture("class-map", "The codes of test garments, with one colour for each class.", maps),
        ],
    )  # fmt: skip


def _article_settings(name: str) -> SystemSettings:
    return SystemSettings(name=name, optimizer="rmsprop", batch=BATCH)


def _averaged_settings(name: str) -> SystemSettings:
    return SystemSettings(name=name, ema=0.998, batch=BATCH)


def _elbo_figure(name: str, model: Variational, studio: Studio) -> tuple[str, str]:
    bound, divergence = elbo(model, studio.garments.test, studio.seed)
    return f"ELBO per test image, {name}", f"{bound:.1f} nats (KL {divergence:.1f})"


def _space_figures(name: str, space: Space) -> list[tuple[str, str]]:
    return [
        (f"gaps between codes, {name}", f"{space.gaps:.1%}"),
        (f"garments among another class, {name}", f"{space.overlap:.1%}"),
    ]


def _samples(
    models: dict[str, Variational], studio: Studio
) -> tuple[list[tuple[str, str]], list[tuple[str, Images]]]:
    """Garments drawn from each network and the nearest training images: distances, and rows of both."""
    known, rng = studio.garments.known, np.random.default_rng((studio.seed, 3))
    _, usual = nearest(spread(studio.garments.test, _MEASURED), known)
    figures = [("a test garment's distance to the nearest known one, RMS, mean", f"{usual.mean():.3f}")]
    rows = []
    for name, model in models.items():
        images = as_images(drawn(model, rng.standard_normal((_MEASURED, model.latents), np.float32)))
        neighbours, distances = nearest(images, known)
        figures.append(
            (f"a drawn garment's, {name}", f"{distances.mean():.3f} (least {distances.min():.3f})")
        )
        rows += [(f"drawn, {name}", images[:_SHOWN]), ("nearest known garment", neighbours[:_SHOWN])]
    return figures, rows


def _restored(models: dict[str, Variational], studio: Studio) -> Image.Image:
    few = spread(studio.garments.test, _SHOWN)
    rows = [(name, as_images(shown(model, as_light(few)))) for name, model in models.items()]
    return wall([("garments", few), *rows])
