"""What a comparison consists of: rows, their names, and which of them are this process's share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from limner.errors import UserError

Kind = Literal["train", "run", "pictures"]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generator to train, or one set that is there already, and how it is measured.

    All of it is what a result depends on: a result is used again only where its row is equal, but for `group`, which
    says nothing of it, and `per_class`, which adds to it.

    Attributes:
        name: of its files. label: the row's model in the report; rows of one label are seeds of one model.
        kind: train a recipe, or take a run, or pictures. source: the recipe's name, or the path. stamp: of what lay at
            that path: it changes with it.
        seed: of the training. group: the group that brought it in, such as the baselines.
        data: the pictures, as named. pack: their id. options: how they are read.
        length: the training's {"budget": seconds} or {"steps": n}. settings: of the training, beside that.
        n, against, features, draw: of the measurement; `draw` seeds samples and the choice of real ones.
        per_class: each class is painted and measured by itself as well, where there are enough real pictures of any.
    """

    name: str
    label: str
    kind: Kind
    source: str
    stamp: str = ""
    seed: int = 0
    group: str | None = None
    data: str
    pack: str
    options: dict[str, Any] = {}
    length: dict[str, int | float] = {}
    settings: dict[str, Any] = {}
    n: int
    against: str = "held-out"
    features: str = "default"
    draw: int = 0
    per_class: bool = False

    @property
    def asked(self) -> dict[str, Any]:
        """What `train` and `estimate` are asked for, but for the training's length; no labels are an option of data."""
        keys = dict(self.settings)
        unlabelled = {"labels": keys.pop("labels")} if "labels" in keys else {}
        return {**self.options, **unlabelled, "seed": self.seed, "keys": keys}


@dataclass(frozen=True)
class Shard:
    """Each `of`-th row from the `number`-th on, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of text such as "2/3". Raises `UserError` for anything else."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UserError(f"impossible --shard {text!r}: write I/N with I from 1 to N, like 1/2 and 2/2")
        return cls(number, of)

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """This shard's rows."""
        return list(rows[self.number - 1 :: self.of])


def named_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows, each with a name of its own. Raises `UserError` where a training would be done twice."""
    found: list[Row] = []
    taken: set[str] = set()
    for row in rows:
        base = re.sub(r"[^\w.+-]+", "-", row.label).strip("-.") or "row"
        if row.kind == "train":
            base += f"-s{row.seed}"
            if base in taken:
                raise UserError(f"{row.label} with seed {row.seed} is asked for twice: name each model and seed once")
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        found.append(msgspec.structs.replace(row, name=name))
    return found
