"""What a person asked of a training, sorted by what it belongs to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limner.errors import UserError
from limner.verbs import units

if TYPE_CHECKING:
    from limner.config import Config

DEFAULT_BUDGET = 600.0
"""Seconds of a training whose length nobody said."""

_READING = ("size", "crop", "alpha", "channels", "depth", "labels", "captions", "classes", "split", "limit")
_DATA = (*_READING, "without", "longtail", "frames", "stride", "slices", "window", "stream", "head", "buffer")
_TRAIN = ("seed", "batch", "precision", "device", "compile", "keep", "balance")
_LENGTHS = ("budget", "steps", "epochs")


@dataclass
class Wish:
    """Everything that was asked for, checked as far as that goes without looking at pictures.

    Attributes:
        data: options of the set. train: values of the config's `train`. others: assignments by key=value.
        unconditional: labels are to be left out although the set has them.
    """

    data: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    unconditional: bool = False

    @classmethod
    def of(
        cls,
        budget: str | float | None,
        steps: int | None,
        epochs: float | None,
        settings: Mapping[str, Any],
        keys: Mapping[str, Any] | None = None,
    ) -> Wish:
        """Sorts settings; None and "auto" are no wishes, and `keys` are of the config whatever else their names mean.

        Raises:
            UserError: lengths that contradict one another.
        """
        wish = cls(others=dict(keys or {}))
        for name in set(_LENGTHS) & set(wish.others):
            raise UserError(f"{name}={wish.others[name]} is not a key of the config: write it as --{name}")
        for name, value in settings.items():
            if value is not None and value != "auto":
                part = wish.data if name in _DATA else wish.train if name in _TRAIN else wish.others
                part[name] = value
        if "data_seed" in wish.others:
            wish.data["seed"] = wish.others.pop("data_seed")
        if wish.data.get("labels") == "none":
            del wish.data["labels"]
            wish.unconditional = True
        lengths = {
            name: value for name, value in zip(_LENGTHS, (budget, steps, epochs), strict=True) if value is not None
        }
        if len(lengths) > 1:
            raise UserError(f"{' and '.join(lengths)} contradict each other: give one of them")
        for name, value in lengths.items():
            if name == "budget":
                value = units.duration(value)
            elif not (isinstance(value, int | float) and value > 0):
                raise UserError(f"impossible {name} {value!r}: give a number above 0")
            wish.train[name] = value
        return wish

    def assignments(self, config: Config, pictures: int) -> dict[str, Any]:
        """The wishes as assignments to a config's keys; how long the training lasts is in exactly one of them."""
        found = {f"train.{name}": value for name, value in self.train.items()} | self.others
        if "train.epochs" in found:
            batch = found.get("train.batch") or config.train.batch
            found["train.steps"] = max(1, math.ceil(found.pop("train.epochs") * pictures / batch))
        if not {"train.steps", "train.budget"} & set(found):
            return found
        return {f"train.{name}": None for name in _LENGTHS} | found
