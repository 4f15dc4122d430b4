"""Pictures in: find them, say what they are, pack them once, hand them out in batches."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.data.batches import Batches as Batches
    from limner.data.batches import RawBatch as RawBatch
    from limner.data.options import DataOptions as DataOptions
    from limner.data.packed import Pack as Pack
    from limner.data.packed import open_pack as open_pack
    from limner.data.packing import pack as pack
    from limner.data.packing import scan as scan
    from limner.data.pixels import to_float as to_float
    from limner.data.pixels import to_uint8 as to_uint8
    from limner.data.pixels import to_uint16 as to_uint16
    from limner.data.report import Report as Report

_HOME = {
    "Batches": "batches",
    "DataOptions": "options",
    "Pack": "packed",
    "RawBatch": "batches",
    "Report": "report",
    "open_pack": "packed",
    "pack": "packing",
    "scan": "packing",
    "to_float": "pixels",
    "to_uint16": "pixels",
    "to_uint8": "pixels",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"limner.data.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
