"""What a view measures of whole pages."""

import numpy as np
import pytest
import torch

from model.cleaning.page_view import PageView


def test_cells_know_their_darkest_pixel_and_their_paper() -> None:
    page = np.full((64, 64, 1), 204, np.uint8)
    page[30, 33] = 51
    view = PageView(torch.from_numpy(page)[None], 2)
    assert view.light.shape == view.darkest.shape == view.paper.shape == (1, 1, 32, 32)
    assert float(view.light[0, 0, 15, 16]) == pytest.approx(0.65)
    assert float(view.darkest[0, 0, 15, 16]) == pytest.approx(0.2)
    assert float(view.paper.min()) == pytest.approx(0.8)
    assert float(view.depth.amax()) == pytest.approx(0.75) and int((view.depth > 0.01).sum()) == 1
