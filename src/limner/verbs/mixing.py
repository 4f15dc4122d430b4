"""Coarse styles of some pictures with fine ones of others, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.verbs import units
from limner.verbs.catalogue import able
from limner.verbs.run import Run, open


def mix(
    run: str | Path | Run,
    out: str | Path,
    coarse: str | list[int] = "0-4",
    fine: str | list[int] = "5-10",
    *,
    seed: int = 0,
    first: int | None = None,
    label: Any = None,
    device: str = "auto",
    **options: Any,
) -> dict[str, Any]:
    """Write a sheet: fine pictures above, coarse ones on the left, where they meet the coarse layers' styles of the one
    and the fine layers' of the other.

    Args:
        run: opened, by name, by path, or "latest".
        out: the PNG.
        coarse, fine: numbers of pictures as `sample` numbers them under `seed`, [0, 1, 2] or "0-2".
        first: the first layer that takes the style of the fine one; half of the layers unless given.
        label: of all pictures, as in `sample`. options: the model's own, such as `truncation`.

    Returns:
        What was asked, and the sheet's path.

    Raises:
        UserError: a model without styles, a layer that it does not have.
    """
    from limner.pictures import grid, writable, write_png
    from limner.tasks.mix import mix as task

    opened, out = open(run), writable(out)
    weights, model = opened._model(device)
    rows, columns = units.numbers(coarse), units.numbers(fine)
    cells = task(model, rows, columns, seed, first, label, options, able("styles"))
    asked = {"coarse": rows, "fine": columns, "seed": seed, "first": first, "label": label, "options": options}
    write_png(out, grid(cells, 1 + len(columns)), {"run": opened.name, "weights": weights, **asked})
    return {"run": str(opened.path), **asked, "sheet": str(out)}
