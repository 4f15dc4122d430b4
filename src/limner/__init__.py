"""Limner: train, sample and measure image generators on your own pictures.

    run = limner.train("digits", budget="2m")      a run of the recommended recipe
    run.sample(16, seed=5)                         pictures; shown in a notebook
    run.evaluate()                                 how good they are, and how good they could be

Names are imported when they are first used, so that `import limner` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # pictures in
    # what may go wrong
    from limner.errors import UserError as UserError

    # pictures out, and what they are worth
    from limner.pictures import Pictures as Pictures

    # training, and what it leaves
    from limner.verbs import Run as Run

    # what there is
    from limner.verbs import attention as attention
    from limner.verbs import check_recipe as check_recipe
    from limner.verbs import compare as compare
    from limner.verbs import critique as critique
    from limner.verbs import describe as describe
    from limner.verbs import doctor as doctor
    from limner.verbs import estimate as estimate
    from limner.verbs import evaluate as evaluate
    from limner.verbs import film as film
    from limner.verbs import list_runs as list_runs
    from limner.verbs import mix as mix
    from limner.verbs import models as models
    from limner.verbs import open as open
    from limner.verbs import pack as pack
    from limner.verbs import sample as sample
    from limner.verbs import scan as scan
    from limner.verbs import sweep as sweep
    from limner.verbs import toy as toy
    from limner.verbs import train as train

    __version__: str

_HOME = {
    "pack": "limner.verbs",
    "scan": "limner.verbs",
    "Run": "limner.verbs",
    "estimate": "limner.verbs",
    "list_runs": "limner.verbs",
    "open": "limner.verbs",
    "train": "limner.verbs",
    "Pictures": "limner.pictures",
    "evaluate": "limner.verbs",
    "sample": "limner.verbs",
    "sweep": "limner.verbs",
    "compare": "limner.verbs",
    "check_recipe": "limner.verbs",
    "critique": "limner.verbs",
    "mix": "limner.verbs",
    "attention": "limner.verbs",
    "film": "limner.verbs",
    "describe": "limner.verbs",
    "doctor": "limner.verbs",
    "models": "limner.verbs",
    "toy": "limner.verbs",
    "UserError": "limner.errors",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from limner.verbs import version

        return version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
