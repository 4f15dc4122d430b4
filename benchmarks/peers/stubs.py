"""Empty modules in the place of libraries that a peer imports at its top and does not need for what is done here."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def torchvision() -> Iterator[None]:
    """Stand in for it while a peer is imported, where it is not installed. Only file transforms and files miss it.

    Afterwards it is gone again: others ask whether it is there.
    """
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    top = ModuleType("torchvision")
    stubs = {"torchvision": top}
    for name in ("transforms", "utils"):
        stubs[f"torchvision.{name}"] = ModuleType(f"torchvision.{name}")
        setattr(top, name, stubs[f"torchvision.{name}"])
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name in stubs:
            del sys.modules[name]
