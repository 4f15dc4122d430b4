"""The tables of the page."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from limner.studies import plots
from limner.studies.compare import words
from limner.studies.compare.words import duration
from limner.studies.plots import Scale, short

_ABILITIES = {
    "labels": ("by class", "makes pictures of a class that is asked for"),
    "encode": ("encode", "finds a code for a given picture, and the picture of a code"),
    "score": ("likelihood", "says how likely a given picture is"),
    "denoise": ("denoise", "finds the clean picture behind a noisy one"),
    "complete": ("complete", "fills in what is hidden"),
    "transform": ("transform", "turns one picture into another"),
    "predict": ("predict", "continues a sequence"),
    "styles": ("styles", "exchanges styles between pictures"),
    "critique": ("critique", "has a network that tells real from generated"),
}
_SHOWN = ("fd", "kid", "precision", "recall", "coverage")
WAYS = {"lower": "lower is better", "higher": "higher is better"}
"""Which way of a measure is better, in words."""


def colour_of(model: dict[str, Any]) -> str:
    """The style sheet's colour of a model."""
    return plots.colour(model["colour"])


def ranking(report: dict[str, Any]) -> str:
    """Best first: the measure that decides with its interval, the others, speed, memory, size."""
    models, by = report["models"], report["ranked_by"]
    shown = [by, *(name for name in _SHOWN if name != by and name in models[0]["measures"])]
    values = [value for model in models for value in model["measures"][by]["values"]]
    values += [models[0]["measures"][by]["floor"]] if by == "fd" else []  # that of KID is noise around zero
    scale = Scale.of(values, 6, 168)
    cells = ['<th scope="col">model</th>']
    for name in shown:
        title, better, _ = words.EXPLAINED[name]
        cells.append(f'<th scope="col">{title}<span class="way">{WAYS[better]}</span></th>')
        if name == by:
            kind = "log scale; " if scale.log else ""
            cells.append(f'<th scope="col" class="left"><span class="way">{kind}dots: seeds, line: 95 %</span></th>')
            cells.append('<th scope="col" class="left">against the next<span class="way">more than chance?</span></th>')
    for title, way in (
        ("training", "pictures/s"),
        ("sampling", "pictures/s"),
        ("memory", "in training"),
        ("parameters", "of the model"),
        ("trained for", "per seed"),
        ("seeds", ""),
    ):
        cells.append(f'<th scope="col">{title}<span class="way">{way}</span></th>')
    rows = [_floor_row(models[0], shown, by), *(_row(model, shown, by, scale) for model in models)]
    return table("".join(cells), rows)


def _row(model: dict[str, Any], shown: list[str], by: str, scale: Scale) -> str:
    key = f'<span class="key {colour_of(model)}"></span>'
    note = f' <span class="range">{html.escape(model["group"])}</span>' if model["group"] else ""
    cells = [f'<th scope="row">{key}{model["rank"]}. {html.escape(model["label"])}{note}</th>']
    for name in shown:
        measure = model["measures"][name]
        span = f'<span class="range">{short(measure["low"])} to {short(measure["high"])}</span>'
        cells.append(f"<td>{short(measure['mean'])}{span}</td>")
        if name == by:
            drawn = plots.interval(
                scale,
                measure["low"],
                measure["high"],
                measure["values"],
                measure["floor"],
                model["colour"],
            )
            cells += [f'<td class="left">{drawn}</td>', _against(model["next"])]
    training, sampling = model["training"], model["sampling"]
    cells += [
        _pace(training),
        _known(sampling["pictures_per_second"], short),
        _known(training["peak_memory"], lambda held: f"{held / 2**20:,.0f} MiB"),
        _known(training["parameters"], short),
        _known(training["seconds"], duration),
        f"<td>{len(model['rows'])}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _pace(training: dict[str, Any]) -> str:
    """Pictures a second in training, and the global batch and the processes that shared it."""
    if training["pictures_per_second"] is None or training["processes"] is None:
        return _known(training["pictures_per_second"], short)
    many = f"{training['processes']:.0f} processes" if training["processes"] != 1 else "1 process"
    shared = f'<span class="range">batch {training["batch"]:,.0f}, {many}</span>'
    return f"<td>{short(training['pictures_per_second'])}{shared}</td>"


def _floor_row(model: dict[str, Any], shown: list[str], by: str) -> str:
    cells = ['<th scope="row" class="soft">floor: real pictures</th>']
    for name in shown:
        cells.append(
            f'<td class="soft">{short(model["measures"][name]["floor"])}</td>'
            + ("<td></td><td></td>" if name == by else "")
        )
    return f"<tr>{''.join(cells)}{'<td></td>' * 6}</tr>"


def _against(following: dict[str, Any] | None) -> str:
    if following is None:
        return "<td></td>"
    kind = "ahead" if following["words"] == "ahead of" else "tied"
    chance = "by chance: " + (f"{following['chance']:.1%}" if following["chance"] >= 0.001 else "below 0.1%")
    said = f"{following['words']} {html.escape(following['label'])}"
    return f'<td class="left {kind}">{said}<span class="range">{chance}</span></td>'


def _known(value: float | None, said: Callable[[float], str]) -> str:
    return f"<td>{said(value)}</td>" if value is not None else '<td class="soft">–</td>'


def classes(report: dict[str, Any]) -> str | None:
    """Share of each class among the pictures of each model, beside the real ones; None where no classes are known."""
    rows = {result["row"]["name"]: result for result in report["results"]}
    counted = [(m, rows[m["rows"][0]]["measured"].get("classes")) for m in report["models"]]
    counted = [(model, found) for model, found in counted if found]
    if not counted:
        return None
    first = counted[0][1]
    names, real = first["names"], first["real"]
    order = sorted(range(len(names)), key=lambda i: -real[i])[:30]
    most = max(max(found["samples"]) for _, found in counted)
    head = '<th scope="col">class</th><th scope="col">real</th>'
    head += "".join(f'<th scope="col">{html.escape(model["label"])}</th>' for model, _ in counted)
    body = []
    for i in order:
        cells = [f'<th scope="row">{html.escape(names[i])}</th><td>{real[i]:.1%}</td>']
        for model, found in counted:
            share = found["samples"][i]
            wide = round(60 * share / max(most, 1e-9))
            bar = f'<span class="bar {colour_of(model)}" style="width:{wide}px"></span>'
            cells.append(f'<td>{share:.1%}<span class="room">{bar}</span></td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    left = (
        f"<p class='small soft'>The {len(order)} largest of {len(names)} classes.</p>"
        if len(order) < len(names)
        else ""
    )
    return table(head, body) + left


def abilities(models: list[dict[str, Any]]) -> str:
    """What each model can do, and in one line what that means."""
    known = [model for model in models if model["abilities"] is not None]
    if not known:
        return "<p class='soft'>Of pictures that were there already, nothing is known.</p>"
    used = [name for name in _ABILITIES if any(name in model["abilities"] for model in known)]
    if not used:
        return "<p class='soft'>Nothing: they make new pictures.</p>"
    head = '<th scope="col">model</th>' + "".join(f'<th scope="col">{_ABILITIES[name][0]}</th>' for name in used)
    body = []
    for model in known:
        cells = "".join(f"<td>{'yes' if name in model['abilities'] else ''}</td>" for name in used)
        body.append(f'<tr><th scope="row">{html.escape(model["label"])}</th>{cells}</tr>')
    said = "; ".join(f"<b>{_ABILITIES[name][0]}</b>: {_ABILITIES[name][1]}" for name in used)
    return f"{table(head, body)}<p class='small soft'>{said}.</p>"


def table(head: str, rows: list[str]) -> str:
    """A table that scrolls by itself where the page is narrow; its head's cells, its body's rows."""
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
