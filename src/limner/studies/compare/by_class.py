"""How good each model is at each class: a table, and the worst class of each in words."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from limner.studies.compare import words
from limner.studies.compare.tables import WAYS, colour_of, table
from limner.studies.plots import short


def by_class(report: dict[str, Any]) -> Iterable[str]:
    """The parts of the section; nothing for a set without classes or rows that were made without them."""
    real = report["by_class"]
    known = [model for model in report["models"] if model["by_class"]["classes"]]
    without = [model for model in report["models"] if model["by_class"]["why"]]
    if real is None or not known + without:
        return
    if not any(real["pictures"].values()):
        yield (
            f"<p>No class has the {real['fewest']} real pictures on either side that numbers of its own need, so there "
            "are none.</p>"
        )
        return
    if known:
        yield from _table(real, known)
        said = [f"<li><b>{html.escape(m['label'])}</b>: {html.escape(m['by_class']['words'])}.</li>" for m in known]
        yield f"<ul class='small'>{''.join(said)}</ul>"
    if without:
        whys = [f"<li><b>{html.escape(m['label'])}</b>: {html.escape(m['by_class']['why'])}</li>" for m in without]
        yield f"<p class='small'>Without numbers for each class:</p><ul class='small'>{''.join(whys)}</ul>"


def _table(real: dict[str, Any], known: list[dict[str, Any]]) -> Iterable[str]:
    first = known[0]["by_class"]
    by = first["by"]
    title, better, _ = words.EXPLAINED[by]
    other = "kid" if by == "fd" else "fd"
    few = "" if by == "fd" else " With so few pictures the Fréchet distance is mostly bias, so KID is what counts here."
    yield (
        f"<p class='small'>Each model was asked for every class in turn, and the pictures of a class measured against "
        f"real ones of it: {html.escape(title)} ({WAYS[better]}), below it {html.escape(words.EXPLAINED[other][0])}, "
        f"precision and recall. The floor is what as many other real pictures of the class score.{few} Numbers of one "
        "class are noisier than those of the whole set and must not be compared with those.</p>"
    )
    cells = ['<th scope="col">class</th><th scope="col">pictures</th><th scope="col">floor</th>']
    for model in known:
        key = f'<span class="key {colour_of(model)}"></span>'
        cells.append(f'<th scope="col">{key}{html.escape(model["label"])}</th>')
    found = [{one["class"]: one for one in model["by_class"]["classes"]} for model in known]
    rows = []
    for name, count in real["pictures"].items():
        if not count:
            continue
        measured = [ones.get(name, {}) for ones in found]
        floor = next((one for one in measured if by in one), None)
        row = [f'<th scope="row">{html.escape(name)}</th><td>{count:,}</td>']
        row.append(f'<td class="soft">{_cell(floor, by, other, "floor") if floor else "–"}</td>')
        row += [
            f"<td>{_cell(one, by, other, 'value')}</td>" if by in one else '<td class="soft">–</td>' for one in measured
        ]
        rows.append(f"<tr>{''.join(row)}</tr>")
    yield table("".join(cells), rows)
    left = sum(not count for count in real["pictures"].values())
    if left:
        yield (
            f"<p class='small soft'>{left} of {len(real['pictures'])} classes have fewer than {real['fewest']} real "
            "pictures on either side, too few for numbers of their own.</p>"
        )


def _cell(one: dict[str, Any], by: str, other: str, what: str) -> str:
    titles = {"fd": "FD", "kid": "KID"}
    small = (
        f"{titles[other]} {short(one[other][what])}, P {short(one['precision'][what])}, R {short(one['recall'][what])}"
    )
    return f'{short(one[by][what])}<span class="range">{small}</span>'
