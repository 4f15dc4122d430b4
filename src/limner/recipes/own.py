"""Recipes of one's own: `my_file.py:recipe` wherever a recipe's name may stand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from limner import own
from limner.api import Generator, Recipe
from limner.errors import UserError, nearest
from limner.families import TABLE
from limner.recipes import recipe


def find(name: str) -> Recipe:
    """A recipe by its name, or the object `name` of a Python file for "file.py:name".

    The recipe's `family` is one of `limner.families`, or the name of a generator class in the same file. The file is
    run, so it must be one that the user trusts.

    Raises:
        UserError: no such file or object, or it is not what it should be.
    """
    file, _, attribute = name.rpartition(":")
    if name.endswith(".py"):
        raise UserError(f"{name!r}: say which recipe of the file, like {name}:recipe")
    if not file.endswith(".py"):
        return recipe(name)
    path = Path(file).expanduser()
    module = own.load(path)
    found = getattr(module, attribute, None)
    if found is None:
        raise UserError(
            f"{path} has no {attribute!r}{nearest(attribute, vars(module))}: define {attribute} = Recipe(...)"
        )
    if not isinstance(found, Recipe):
        raise UserError(f"{name} is a {type(found).__name__}, not a limner.api.Recipe")
    if found.family in TABLE:
        return found
    kind = getattr(module, found.family, None)
    if not (isinstance(kind, type) and issubclass(kind, Generator)):
        known = ", ".join(sorted(TABLE))
        raise UserError(f"{name}: family {found.family!r} is neither a Generator class in {path} nor one of {known}")
    return dataclasses.replace(found, family=own.name_of(path, found.family))


def recipes_in(path: Path) -> list[str]:
    """Names of all recipes that a file defines. Raises `UserError` where there is none."""
    found = [name for name, value in vars(own.load(path)).items() if isinstance(value, Recipe)]
    if not found:
        raise UserError(f"{path} defines no recipe: write recipe = limner.api.Recipe(...)")
    return found
