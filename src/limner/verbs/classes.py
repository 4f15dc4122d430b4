"""Pictures of a run painted class by class, to be measured so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limner.errors import UserError
from limner.verbs.run import Run

if TYPE_CHECKING:
    from limner.data import Pack
    from limner.tasks.sample import Sampler


def classes_to_paint(run: Run, pack: Pack, against: str, n: int, seed: int) -> tuple[list[str], int]:
    """The classes that there are enough real pictures of, and how many pictures of each are painted.

    Raises:
        UserError: the set has no such classes, or the run knows none of them.
    """
    from limner.api import Conditions
    from limner.evaluation.by_class import real_classes, require_classes
    from limner.families import family

    config = run.config
    known = config.spec.classes if issubclass(family(config.family), Conditions) else ()
    real = require_classes(pack, real_classes(pack, against, n, seed), n)
    names = [name for name in real.measured if name in known]
    if not names:
        raise UserError(f"{run.name} cannot be asked for classes: it was trained without labels, or with others")
    return names, real.most


def class_sampler(run: Run, pack: Pack, against: str, n: int, seed: int, **painting: Any) -> Sampler:
    """A request for the classes in turn; arguments and errors as for `classes_to_paint` and `Run.sampler`."""
    names, count = classes_to_paint(run, pack, against, n, seed)
    return run.sampler(len(names) * count, seed, names, **painting)
