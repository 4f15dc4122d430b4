"""What a comparison's models are: recipes and groups of them to train, runs and pictures that are there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.errors import UserError, unknown
from limner.runs import CONFIG, ROOT, RunFolder

if TYPE_CHECKING:
    from limner.data import Pack
    from limner.studies.compare import Row

ALL = "all"
MEASURE_SECONDS = 0.008
"""Seconds to measure a picture: 20 s for 2,500 on two cores."""
UNKNOWN: dict[str, Any] = {
    "train_seconds": 0.0,
    "paint_seconds": 0.0,
    "disk_bytes": 0,
    "parameters": None,
    "evaluations": None,
    "unknown": None,
}
_FORWARD = 3
"""A step of training costs about as much as so many passes forward."""


@dataclass(frozen=True)
class Entrant:
    """One model of a comparison: its label in the report, what it is (train, run or pictures), where it comes from."""

    label: str
    kind: str
    source: str
    group: str | None = None

    @cached_property
    def stamp(self) -> str:
        """Of what is measured as it lies there: changes when that changes; empty for what is trained first."""
        if self.kind == "train":
            return ""
        path = RunFolder.open(self.source).weights if self.kind == "run" else Path(self.source)
        if path.is_file():
            return storage.hash_file(path)[:16]
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = (f"{file.relative_to(path)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def resolve(models: str | Sequence[str]) -> list[Entrant]:
    """What is meant by names, groups, files and paths. Raises `UserError` for what is nothing of these."""
    words = models.split(",") if isinstance(models, str) else models
    found: list[Entrant] = []
    for word in (word.strip() for word in words):
        if word:
            found += [one for one in _resolve(word) if one not in found]
    if not found:
        raise UserError(f"no models in {models!r}: name recipes, runs, folders or .npz files with commas between them")
    return found


def estimate(row: Row, packed: Pack, pictures: int) -> dict[str, Any]:
    """What a training row of so many painted pictures costs: seconds, bytes on the disk; `unknown` says why not.

    A model that cannot be tried is not this function's matter: its row will say so.
    """
    from limner import training
    from limner.studies.compare.rows import in_one_line
    from limner.verbs.preparing import prepare
    from limner.verbs.wishes import Wish

    settings = row.asked
    keys = settings.pop("keys")
    length = {"budget": row.length.get("budget"), "steps": row.length.get("steps")}
    try:
        wish = Wish.of(length["budget"], _whole(length["steps"]), None, settings, keys)
        pack, config, build = prepare(row.data, row.source, wish, None, None, None, lambda text: None)
        cost = training.estimate(config, pack, build, lambda text: None)
        model = build(config)
        evaluations = model.evaluations(model.usual())
    except Exception as error:
        return {**UNKNOWN, "train_seconds": row.length.get("budget", 0.0), "unknown": in_one_line(error)}
    return {
        "train_seconds": cost["seconds"],
        "paint_seconds": pictures * evaluations / (_FORWARD * cost["pictures_per_second"]),
        "disk_bytes": cost["disk_bytes"],
        "parameters": cost["parameters"],
        "evaluations": evaluations,
        "unknown": None,
    }


def _resolve(word: str) -> list[Entrant]:
    from limner.recipes import GROUPS, NAMES
    from limner.recipes.own import find

    group_of = {name: group for group, names in GROUPS.items() for name in names}
    names = NAMES if word == ALL else GROUPS.get(word, (word,) if word in NAMES else ())
    if names:
        return [Entrant(name, "train", name, group_of.get(name)) for name in names]
    if ".py:" in word or word.endswith(".py"):
        return [Entrant(find(word).name, "train", word)]
    label, equals, path = word.partition("=")
    found = _there(path if equals else word)
    if found is None and equals:
        raise UserError(
            f"no run and no pictures at {path!r}: give a run, a folder or archive of pictures, or an .npz file"
        )
    if found is None:
        raise unknown("model", word, [*NAMES, *GROUPS, ALL])
    kind, where = found
    place = where.resolve()
    return [Entrant(label if equals else place.stem if place.is_file() else place.name, kind, str(where))]


def _there(name: str) -> tuple[str, Path] | None:
    """A run or pictures of this path, or a run of this name; None where there is nothing."""
    for path in (Path(name).expanduser(), Path(ROOT) / name):
        if (path / CONFIG).is_file():
            return "run", path
    path = Path(name).expanduser()
    return ("pictures", path) if path.exists() else None


def _whole(steps: float | None) -> int | None:
    return None if steps is None else int(steps)
