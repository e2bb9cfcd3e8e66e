"""Which precision networks are trained and run in, by what the hardware multiplies."""

import pytest
import torch

from model.device import fast_dtype, fast_training

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_only_where_the_hardware_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    layer, x = torch.nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8)
    wanted = torch.bfloat16 if native else torch.float32
    with fast_training(CPU):
        assert layer(x).dtype == wanted == fast_dtype(CPU)
    with fast_training(CPU, wanted=False):
        assert layer(x).dtype == torch.float32
    assert layer(x).dtype == torch.float32
