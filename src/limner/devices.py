"""Where a network computes."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import torch

from limner.errors import UserError


def pick_device(name: str) -> str:
    """The device of that name, or the best there is for "auto"."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if name.split(":")[0] not in there:
        raise UserError(f"unknown device {name!r}: choose auto, cpu, cuda or mps")
    if not there[name.split(":")[0]]:
        raise UserError(f"device {name!r} is not available on this machine: choose --device cpu")
    return name


def machine() -> dict[str, Any]:
    """What results may depend on beside the config."""
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 1,
    }
