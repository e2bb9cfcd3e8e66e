"""Layers for large cells, made of those for small ones: they clean a page as if it were half as large."""

import torch
from torch import Tensor

from model.autoencoder import Autoencoder, AutoencoderConfig, apply
from scripts.enlarge import enlarged

SHAPE = ((8, 8, 16), (2, 1, 1))


def old_weights(model: Autoencoder) -> dict[str, Tensor]:
    """As pumice-gain-unet-3 named them."""
    names = {}
    for name in model.state_dict():
        part, *rest = name.removeprefix("ends.2.").split(".")
        names[name] = ".".join(
            [part, rest[0], *rest[2:]] if part in ("encoder", "decoder") else [part, *rest]
        )
    return {names[name]: tensor for name, tensor in model.state_dict().items()}


def test_large_cells_clean_as_small_ones_do_at_half_the_size() -> None:
    torch.manual_seed(0)
    small = Autoencoder(AutoencoderConfig((2,), *SHAPE))
    with torch.no_grad():
        for tensor in small.parameters():
            tensor.normal_(0, 0.1)
    both = Autoencoder(AutoencoderConfig((2, 4), *SHAPE))
    both.load_state_dict(enlarged(old_weights(small)))
    with torch.inference_mode():
        for channels in (1, 3):
            page = torch.rand(1, channels, 48, 32)
            twice = page.repeat_interleave(2, 2).repeat_interleave(2, 3)
            cleaned = apply(page, *small(page, large=False))
            assert torch.allclose(apply(page, *both(page, large=False)), cleaned, atol=1e-6)
            wanted = cleaned.repeat_interleave(2, 2).repeat_interleave(2, 3)
            assert torch.allclose(apply(twice, *both(twice, large=True)), wanted, atol=1e-5)
            assert (cleaned - page).abs().max() > 0.1, "these weights change something"
