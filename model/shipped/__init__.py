"""The weights that ship with Pumice, beside their cards. No import of torch: all commands need the paths."""

from pathlib import Path

CLEANER = Path(__file__).parent / "pumice-11.safetensors"
"""The weights that `pumice clean` uses when none are named."""

GUARD = Path(__file__).parent / "guard-6.safetensors"
"""The guard that fits `CLEANER`."""
