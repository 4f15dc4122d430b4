"""Empty modules in the place of libraries that a peer imports at its top and does not need for what is done here."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def install() -> None:
    """Stand in for torchvision, where it is not installed. Only file transforms and picture files are missed by it."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    top = ModuleType("torchvision")
    for name in ("transforms", "utils"):
        module = ModuleType(f"torchvision.{name}")
        setattr(top, name, module)
        sys.modules[f"torchvision.{name}"] = module
    sys.modules["torchvision"] = top
