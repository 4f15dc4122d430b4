"""Pictures of a run painted as asked, and whether a judge finds in them what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import UserError
from limner.verbs.datasets import Progress
from limner.verbs.run import Run

if TYPE_CHECKING:
    from limner.api import Generator
    from limner.data import Pack
    from limner.evaluation.agreement import Agreement, Question
    from limner.processes import Processes
    from limner.tasks.sample import Sampler

MOST = 1000
"""Pictures that are asked for, of each combination that training saw nothing of as many again."""


def to_ask(run: Run, pack: Pack, model: Generator, n: int, seed: int) -> list[Question]:
    """What to ask a run for, as real pictures are labelled.

    Raises:
        UserError: it cannot be asked, or the set has other labels.
    """
    from limner.api import Conditions
    from limner.data import DataOptions
    from limner.evaluation.agreement import questions

    attributes = model.spec.attributes if isinstance(model, Conditions) else ()
    if not attributes:
        raise UserError(f"{run.name} cannot be asked for anything: it was trained without labels")
    data = run.config.data
    combinations = DataOptions(without=data.options.get("without") if data else None).combinations
    return questions(pack, attributes, combinations, min(n, MOST), seed)


def answered(
    run: Run,
    pack: Pack,
    model: Generator,
    asked: list[Question],
    seed: int,
    painting: dict[str, Any],
    painted: Callable[[Sampler], Path],
    processes: Processes,
    progress: Progress | None,
) -> Agreement:
    """What of that is found in the pictures that `painted` makes of a request; the first process judges."""
    import numpy as np

    from limner.evaluation.agreement import Agreement, agreement, named

    attributes = model.spec.attributes
    files = [painted(run.sampler(len(one.labels), seed, named(one.labels, attributes), **painting)) for one in asked]

    def judged() -> dict[str, Any]:
        pictures = [np.load(file, allow_pickle=False)["x"] for file in files]
        return agreement(pack, attributes, asked, pictures, progress).to_dict()

    return Agreement.of(processes.tell(judged))
