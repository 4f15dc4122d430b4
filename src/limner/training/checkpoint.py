"""Checkpoints: everything that a training needs to go on to the bit, as safetensors and JSON with checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from limner import storage
from limner.runs import STATE, checkpoint_name

_PLAIN = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """State after `step` steps: tensors by name and plain values."""

    step: int
    tensors: dict[str, Tensor]
    plain: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Tensors whose names begin with `name/`, without it."""
        prefix = name + "/"
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint whole, then let go of all but the newest `keep`."""
    target = folder / checkpoint_name(checkpoint.step)
    with storage.whole_folder(target) as temporary:
        save_file({k: v.detach().contiguous() for k, v in checkpoint.tensors.items()}, temporary / STATE)
        (temporary / _PLAIN).write_text(json.dumps({"step": checkpoint.step, **checkpoint.plain}))
    for old in _folders(folder)[keep:]:
        shutil.rmtree(old)
    return target


def newest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose checksums hold; damaged ones are named and passed over."""
    return next(intact(folder, warn), None)


def intact(folder: Path, warn: Callable[[str], None]) -> Iterator[Checkpoint]:
    """Checkpoints whose checksums hold, the newest first."""
    for path in _folders(folder):
        if wrong := storage.damage(path):
            warn(f"checkpoint {path.name} is damaged ({wrong}): taking the one before")
            continue
        plain = json.loads((path / _PLAIN).read_text())
        yield Checkpoint(plain.pop("step"), load_file(path / STATE), plain)


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-[0-9]*"), reverse=True) if folder.is_dir() else []
