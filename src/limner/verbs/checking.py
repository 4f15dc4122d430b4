"""The contract tests on recipes of a person's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.verbs.datasets import Progress


def check_recipe(file: str, size: int | tuple[int, int] = 16, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Try every promise of the recipes of a Python file, or of one recipe.

    Args:
        file: "my_file.py" for all of its recipes, "my_file.py:name" for one, or the name of a shipped recipe.
        size: of the pictures to try it on.
        progress: called with what is being tried and its share.

    Returns:
        One entry a promise: recipe, promise, ok, why.
    """
    from limner.check import check
    from limner.recipes.own import find, recipes_in

    names = [f"{file}:{name}" for name in recipes_in(Path(file).expanduser())] if file.endswith(".py") else [file]
    found: list[dict[str, Any]] = []
    for name in names:
        recipe = find(name)
        for finding in check(recipe, (size, size) if isinstance(size, int) else size):
            entry = {"recipe": recipe.name, "promise": finding.promise, "ok": finding.ok, "why": finding.why}
            found.append(entry)
            if progress is not None:
                progress(f"{recipe.name}: {finding.promise}", 1.0)
    return found
