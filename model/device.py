"""Where a network runs, and in which precision."""

import torch


class DeviceError(RuntimeError):
    """The requested device is missing, or has too little memory for the smallest tile."""


def pick_device(wanted: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` into a device.

    Raises:
        DeviceError: `cuda` is wanted and there is none.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is visible here: use --device auto or cpu")
    return torch.device(wanted)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if the hardware multiplies it, else float32; a page's change needs no more than 8 bits."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def fast_training(device: torch.device, wanted: bool = True) -> torch.autocast:
    """A context in which convolutions are computed in bfloat16 if the hardware multiplies it.

    Other hardware would emulate it, several times as slowly as float32.
    """
    return torch.autocast(device.type, torch.bfloat16, wanted and fast_dtype(device) is torch.bfloat16)
