"""The article's network for cleaning text, as a baseline: `pumice train --network article`.

Three convolutions, two of them at full resolution with 64 channels: 1 -> Conv64 -> pool -> Conv64 -> up ->
Conv1 with a sigmoid, trained on the squared error with Adam at 1e-3. It sees six pixels far.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ArticleConfig:
    """The network's shape; stored beside its weights."""

    width: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 512:  # noqa: PLR2004
            raise ValueError(f"width must be 1 to 512, not {self.width}")

    def stride(self, _large: bool) -> int:
        """Pages are padded to multiples of this many pixels."""
        return 2

    def reach(self, _large: bool) -> int:
        """No pixel further away than this changes a result."""
        return 6


class ArticleNetwork(nn.Module):
    """Conv - pool - Conv - up - Conv; see the module's text."""

    def __init__(self, config: ArticleConfig | None = None) -> None:
        super().__init__()
        self.config = config or ArticleConfig()
        self.first = nn.Conv2d(1, self.config.width, 3, padding=1)
        self.second = nn.Conv2d(self.config.width, self.config.width, 3, padding=1)
        self.last = nn.Conv2d(self.config.width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Clean grey pages, or each channel of colour ones by itself.

        Args:
            x: (N, C, H, W), 0 black to 1 white, H and W even.

        Returns:
            The cleaned pages, of the same shape.
        """
        planes = x.flatten(0, 1)[:, None]
        h = F.max_pool2d(F.relu(self.first(planes)), 2)
        h = F.interpolate(F.relu(self.second(h)), scale_factor=2.0)
        return torch.sigmoid(self.last(h)).view(x.shape)

    def predicted(self, x: Tensor, _large: bool) -> Tensor:
        """The cleaned pages, for training. The network sees large pages as it sees small ones."""
        return self(x).float()  # type: ignore[no-any-return]


class ArticlePages:
    """The network made ready for whole pages, as the article describes it: float32, a page at once."""

    def __init__(self, model: ArticleNetwork, device: torch.device) -> None:
        self._model = model.to(device).eval()

    @torch.inference_mode()
    def __call__(self, pages: Tensor, large: bool | None = None) -> Tensor:
        """Clean (N, H, W, 1 or 3) uint8 or uint16 pages, any size; same shape, dtype and device."""
        height, width = pages.shape[1:3]
        white = torch.iinfo(pages.dtype).max
        x = pages.permute(0, 3, 1, 2).float() / white
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        cleaned: Tensor = self._model(x)[:, :, :height, :width] * white
        return cleaned.round_().to(pages.dtype).permute(0, 2, 3, 1).contiguous()
