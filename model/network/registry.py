"""The networks that exist, Pumice's own and the article's, by the name in their weights' files."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from model.network.article import ArticleConfig, ArticleNetwork, ArticlePages
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.forward import PageNetwork

Network: TypeAlias = Autoencoder | ArticleNetwork
NetworkConfig: TypeAlias = AutoencoderConfig | ArticleConfig


class CleanPages(Protocol):
    """A network that is ready for whole pages."""

    def __call__(self, pages: Tensor, large: bool | None = None) -> Tensor:
        """Clean (N, H, W, 1 or 3) uint8 or uint16 pages of any size; same shape, dtype and device.

        For tiles `large` says whether they are of a large page; for whole pages their size decides.
        """


PUMICE, ARTICLE = "pumice-gain-unet-4", "article-text-1"
"""Names of architectures; a number goes up when old weights no longer fit."""


def build(config: NetworkConfig) -> Network:
    """An untrained network."""
    return Autoencoder(config) if isinstance(config, AutoencoderConfig) else ArticleNetwork(config)


def architecture_of(model: Network) -> str:
    """The name that goes into the weights' file."""
    return PUMICE if isinstance(model, Autoencoder) else ARTICLE


def config_from(architecture: str, raw: Mapping[str, Any]) -> NetworkConfig | None:
    """The shape that a weights' file states; None for an unknown architecture.

    Raises:
        LookupError, TypeError, ValueError: the shape is not valid.
    """
    if architecture == PUMICE:
        cells, widths, blocks = (tuple(map(int, raw[name])) for name in ("cells", "widths", "blocks"))
        return AutoencoderConfig(cells, widths, blocks)
    return ArticleConfig(int(raw["width"])) if architecture == ARTICLE else None


def for_pages(model: Network, device: torch.device, dtype: torch.dtype) -> CleanPages:
    """Make a network ready to clean pages; it is taken over, use it for nothing else."""
    if isinstance(model, Autoencoder):
        return PageNetwork(model, device, dtype)
    return ArticlePages(model, device)
