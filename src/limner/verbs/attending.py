"""Where the places of a run's pictures look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.verbs import units
from limner.verbs.catalogue import able
from limner.verbs.run import Run, open


def attention(
    run: str | Path | Run,
    out: str | Path,
    pictures: str | list[int] = "0-5",
    *,
    seed: int = 0,
    label: Any = None,
    device: str = "auto",
    **options: Any,
) -> dict[str, Any]:
    """Write a sheet: in each row a picture with five places marked, then for each of them what it looks at. A picture
    has a row for each layer of attention.

    Args:
        run: opened, by name, by path, or "latest".
        out: the PNG.
        pictures: their numbers as `sample` numbers them under `seed`, [0, 1, 2] or "0-2".
        label: of the pictures, as in `sample`. options: the model's own, such as `truncation`.

    Returns:
        What was asked, the layers in the order of the rows, and the sheet's path.

    Raises:
        UserError: a model without attention.
    """
    from limner.pictures import grid, writable, write_png
    from limner.tasks import attention as task

    opened, out = open(run), writable(out)
    weights, model = opened._model(device)
    numbers = units.numbers(pictures)
    pixels, seen = task.attention(model, numbers, seed, label, options, able("attend"))
    cells, columns = task.drawn(pixels, seen)
    asked = {"pictures": numbers, "seed": seed, "label": label, "options": options, "layers": list(seen)}
    write_png(out, grid(cells, columns, zoom=1), {"run": opened.name, "weights": weights, **asked})
    return {"run": str(opened.path), **asked, "sheet": str(out)}
