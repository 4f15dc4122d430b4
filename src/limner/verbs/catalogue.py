"""What there is: recipes with what they can do, runs with how they went."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limner.errors import UserError
from limner.runs import CONFIG, ROOT, STATUS, holds_a_run


def able(capability: str) -> Iterator[str]:
    """Names of the recipes whose models have a capability. Looked up only when the first one is asked for."""
    from limner.api import CAPABILITIES
    from limner.families import family
    from limner.recipes import NAMES, recipe

    yield from (name for name in NAMES if issubclass(family(recipe(name).family), CAPABILITIES[capability]))


def names() -> tuple[str, ...]:
    """The recipes' names."""
    from limner.recipes import NAMES

    return NAMES


def models() -> list[dict[str, Any]]:
    """Every recipe: name, group, family, paper, summary, abilities, sampling options, measured numbers."""
    from limner.recipes import DEFAULT, NAMES, recipe

    return [{**_said_of(recipe(name)), "default": name == DEFAULT} for name in NAMES]


def describe(
    model: str, size: int | tuple[int, int] = 32, channels: int = 3, classes: int = 0, pictures: int = 10_000
) -> dict[str, Any]:
    """All of a recipe: what `models` says of it and the whole config that it would train with, as plain values.

    Args:
        model: a recipe by name, or "file.py:name".
        size, channels, classes, pictures: of the set that it would be trained on.
    """
    from limner.api import Attribute, Situation, Spec
    from limner.config import to_dict
    from limner.recipes import configure
    from limner.recipes.own import find

    chosen = find(model)
    height, width = (size, size) if isinstance(size, int) else size
    labels = (Attribute("label", tuple(map(str, range(classes)))),) if classes else ()
    spec = Spec(channels=channels, height=height, width=width, attributes=labels)
    return {**_said_of(chosen), "config": to_dict(configure(chosen, Situation(spec, pictures)))}


def list_runs(root: str | Path = ROOT) -> list[dict[str, Any]]:
    """Every run below `root`, newest last: name, recipe, data, picture size, step, state, score, bytes, date.

    A run that cannot be read is listed with its `fault`; folders of other things are left out.
    """
    root = Path(root)
    found = [_run(path) for path in root.iterdir() if holds_a_run(path)] if root.is_dir() else []
    return sorted(found, key=lambda run: (run["date"], run["name"]))


def doctor() -> dict[str, Any]:
    """What this machine can do, measured."""
    from limner.training import doctor as measure

    found: dict[str, Any] = measure()
    return found


def _said_of(chosen: Any) -> dict[str, Any]:
    from limner.api import CAPABILITIES
    from limner.families import family
    from limner.recipes import GROUPS

    kind = family(chosen.family)
    return {
        "name": chosen.name,
        "group": next((group for group, names in GROUPS.items() if chosen.name in names), None),
        "family": chosen.family,
        "paper": chosen.paper,
        "summary": chosen.summary,
        "abilities": [name for name, ability in CAPABILITIES.items() if issubclass(kind, ability)],
        "sampling": list(kind.Sampling.__struct_fields__),
        "scores": [dict(score) for score in chosen.scores],
    }


def _run(path: Path) -> dict[str, Any]:
    """One row of `list_runs`, from the files' plain text: no generator is built and no weights are read."""
    row: dict[str, Any] = {"name": path.name, "path": str(path)}
    row |= dict.fromkeys(("recipe", "data", "size", "step", "state", "score", "reason", "fault"))
    newest = path.stat().st_mtime
    try:
        files = [file.stat() for file in path.rglob("*") if file.is_file()]
        newest = max((file.st_mtime for file in files), default=newest)
        row["bytes"] = sum(file.st_size for file in files)
        row |= _facts(path)
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        row["fault"] = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    row["date"] = datetime.datetime.fromtimestamp(newest).isoformat(" ", "seconds")
    return row


def _facts(path: Path) -> dict[str, Any]:
    if not (path / CONFIG).is_file():
        raise UserError(f"it has no {CONFIG}")
    config = json.loads((path / CONFIG).read_text())
    status = json.loads((path / STATUS).read_text()) if (path / STATUS).is_file() else {}
    spec = config["spec"]
    return {
        "recipe": config["recipe"],
        "data": (config.get("data") or {}).get("source"),
        "size": f"{spec['height']}x{spec['width']}x{spec['channels']}",
        "step": status.get("step", 0),
        "state": status.get("state", "begun"),
        "score": status.get("score"),
        "reason": status.get("reason"),
    }
