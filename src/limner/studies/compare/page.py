"""report.html: one file with everything in it, readable by a person who has never met these numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from limner.studies import plots
from limner.studies.compare import words
from limner.studies.compare.by_class import by_class
from limner.studies.compare.tables import WAYS, abilities, classes, colour_of, ranking
from limner.studies.page import card, document, escape, heading, legend, section
from limner.studies.plots import Series

if TYPE_CHECKING:
    from limner.studies.compare.pictures import Sheets


def page(report: dict[str, Any], sheets: Sheets) -> str:
    """The report as one HTML file that needs no other."""
    title = f"Which generator for {report['data']['source'].rstrip('/').rpartition('/')[2]}?"
    models = _coloured(report["models"])
    report = {**report, "models": models}
    parts = [heading(title, _subtitle(report), report["verdict"])]
    if models:
        parts += [
            section("Ranked", ranking(report), f"<p class='small'>{escape(report['test'])} {escape(words.FLOOR)}</p>"),
            section("The pictures", *_pictures(report, sheets)),
            section("What is wrong with them", _faults(models)),
            section("What the numbers mean", _meanings(models)),
            section("Quality and what it costs", *_costs(report)),
            section("How the trainings went", *_curves(report)),
            *_of_classes(report),
            *([section("How good is each class?", *of_each)] if (of_each := list(by_class(report))) else []),
            *([section("Copies?", *_nearest(report, sheets))] if sheets.show_real else []),
            section("What each can do beside making new pictures", abilities(models)),
        ]
    if report["failed"] or report["missing"]:
        parts.append(section("Rows without numbers", _without(report)))
    parts.append(section("Do it again", _commands(report)))
    return document(title, parts)


def _subtitle(report: dict[str, Any]) -> str:
    data, machine = report["data"], report["machine"]
    channels, height, width = data["shape"]
    kind = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(channels, f"{channels} channels")
    held_out = (report["protocol_detail"] or {}).get("split") == "held-out"
    reference = "real ones that no training saw" if held_out else "of those"
    return (
        f"{data['pictures']:,} training pictures of {height} x {width} pixels, {kind}; {report['n']:,} generated "
        f"pictures of each model measured against {report['n']:,} {reference}. "
        f"Limner {report['limner']}, {report['date'][:10]}, {machine['cores']} processor cores."
    )


def _meanings(models: list[dict[str, Any]]) -> str:
    entries = [
        f"<div><dt>{escape(name)} <span class='soft'>({WAYS[better]})</span></dt><dd>{escape(meaning)}</dd></div>"
        for key, (name, better, meaning) in words.EXPLAINED.items()
        if key in models[0]["measures"]
    ]
    for name, meaning in words.OTHERS.items():
        entries.append(f"<div><dt>{escape(name.capitalize())}</dt><dd>{escape(meaning)}</dd></div>")
    return f"<dl>{''.join(entries)}</dl><p class='small'>{escape(words.INTERVAL)}</p>"


def _pictures(report: dict[str, Any], sheets: Sheets) -> Iterable[str]:
    by_name = {result["row"]["name"]: result for result in report["results"]}
    cards = []
    if sheets.show_real:
        cards.append(card("real pictures, never trained on", sheets.real(), "what all models are compared with"))
    for model in report["models"]:
        first = by_name[model["rows"][0]]
        sheet = sheets.samples(first["pictures"])
        note = "a random draw" + ("" if len(model["rows"]) == 1 else f", seed {model['seeds'][0]}")
        cards.append(card(f"{model['rank']}. {model['label']}", sheet, note, colour_of(model)))
    yield f'<div class="cards">{"".join(cards)}</div>'


def _faults(models: list[dict[str, Any]]) -> str:
    entries = []
    for model in models:
        said = [
            f"<li><span class='fault'>{escape(one['words'])}</span>"
            + (f" <span class='soft'>({one['rows']} of {one['of']} seeds)</span>" if one["of"] > 1 else "")
            + "</li>"
            for one in model["findings"]
        ] or ["<li class='soft'>nothing that real pictures do not show as well</li>"]
        key = f'<span class="key {colour_of(model)}"></span>'
        entries.append(
            f'<div class="card"><h3>{key}{escape(model["label"])}</h3><ul class="small">{"".join(said)}</ul></div>'
        )
    note = (
        "<p class='small soft'>Each is measured beside the same number for real pictures, and said only where it "
        "lies far outside of what real sets differ by.</p>"
    )
    return f'{note}<div class="cards">{"".join(entries)}</div>'


def _costs(report: dict[str, Any]) -> Iterable[str]:
    by = report["ranked_by"]
    name, better, _ = words.EXPLAINED[by]
    floor = report["models"][0]["measures"][by]["floor"] if by == "fd" else None  # that of KID is noise around zero
    axes: list[tuple[str, str, str, Callable[[float], float]]] = [
        ("training", "seconds", "minutes of training", lambda seconds: seconds / 60),
        ("sampling", "pictures_per_second", "ms to make a picture", lambda speed: 1000 / speed),
        ("sampling", "evaluations", "network passes a picture", float),
        ("training", "parameters", "parameters", float),
    ]
    charts = []
    for group, key, title, of in axes:
        points = []
        for model in report["models"]:
            value = model[group][key]
            if not value:
                continue
            measure = model["measures"][by]
            reach = [(measure["low"], measure["high"])]
            points.append(Series(model["label"], [(of(value), measure["mean"])], model["colour"], reach))
        if points:
            charts.append(f'<div class="card">{plots.scatter(points, title, name, floor)}</div>')
    if not charts:
        yield "<p class='soft'>All sets were there already, so their costs are not known.</p>"
        return
    yield f"<p class='small'>Down and to the left is better: {WAYS[better]}, and so is cheaper.</p>"
    yield f'<div class="cards">{"".join(charts)}</div>'


def _curves(report: dict[str, Any]) -> Iterable[str]:
    results = {result["row"]["name"]: result for result in report["results"]}
    scores, cards = [], []
    for model in report["models"]:
        curves = results[model["rows"][0]]["curves"]
        if not curves:
            continue
        colour = model["colour"]
        if len(curves["scores"]) > 1:
            scores.append(Series(model["label"], [(t / 60, fd) for t, fd, _ in curves["scores"]], colour))
        losses = [name for name in curves["losses"] if not name.rpartition("/")[2].startswith("_")][:4]
        drawn = [
            Series(name, [(t / 60, v) for t, v in curves["losses"][name]], place)
            for place, name in enumerate(losses)
            if len(curves["losses"][name]) > 1
        ]
        if drawn:
            keys = legend([(one.name, f"c{one.colour}") for one in drawn])
            chart = plots.lines(drawn, "minutes", "loss")
            cards.append(f'<div class="card"><h3>{escape(model["label"])}</h3>{keys}{chart}</div>')
    if not scores and not cards:
        yield "<p class='soft'>Nothing was recorded: sets that were there already, or very short trainings.</p>"
        return
    if scores:
        keys = legend([(one.name, plots.colour(one.colour)) for one in scores])
        chart = plots.lines(scores, "minutes", "Fréchet distance")
        yield (
            "<p class='small'>Scores taken in training, on a few pictures of a slice that is kept for this: for the "
            "shape of the curve, not to compare with the table.</p>"
        )
        yield f'{keys}<div class="cards"><div class="card">{chart}</div></div>'
    if cards:
        yield (
            "<p class='small'>Losses: what each training pushes down. They differ in meaning from model to model, so "
            "only their course says something: falling or settled is well, exploding is not; two networks that play "
            "against each other should stay in balance.</p>"
        )
        yield f'<div class="cards">{"".join(cards)}</div>'


def _of_classes(report: dict[str, Any]) -> Iterable[str]:
    table = classes(report)
    if table:
        note = (
            "Each generated picture is counted to the class of the real pictures that it resembles most; the column of "
            "real pictures is counted in the same way. Far more or fewer than there is a class that the model likes "
            "too much or misses."
        )
        yield section("Class by class", f"<p class='small'>{escape(note)}</p>", table)


def _nearest(report: dict[str, Any], sheets: Sheets) -> Iterable[str]:
    yield (
        "<p class='small'>Eight generated pictures (top row) and under each the training picture that is nearest to "
        "it: in what the network sees (middle) and pixel by pixel (bottom). Where top and bottom are the same picture, "
        "the model copies.</p>"
    )
    cards = []
    for model in report["models"]:
        sheet = sheets.nearest(model["rows"][0])
        if sheet:
            cards.append(card(model["label"], sheet, "generated / nearest / nearest by pixels", colour_of(model)))
    yield f'<div class="cards">{"".join(cards)}</div>'


def _without(report: dict[str, Any]) -> str:
    failed = [f"<li><b>{escape(one['row'])}</b>: {escape(one['why'])}</li>" for one in report["failed"]]
    missing = [f"<li><b>{escape(name)}</b>: not made yet</li>" for name in report["missing"]]
    return f"<ul>{''.join(failed + missing)}</ul>"


def _commands(report: dict[str, Any]) -> str:
    rows = []
    for result in report["results"]:
        if result.get("commands"):
            lines = _nearby("\n".join(result["commands"]), report)
            rows.append(
                f"<details><summary>{escape(result['row']['name'])}</summary><pre><code>{escape(lines)}</code></pre></details>"
            )
    detail = report["protocol_detail"] or {}
    protocol = ", ".join(f"{key} {value}" for key, value in detail.items())
    machine = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    return (
        f"<p>The whole comparison:</p><pre><code>{escape(_nearby(report['command'], report))}</code></pre>"
        f"<p>One row:</p>{''.join(rows)}"
        f"<p class='soft small'>Protocol {escape(report['protocol'] or 'none')}: {escape(protocol)}. Numbers of "
        f"another protocol must not be compared with these. Machine: {escape(machine)}. As plain values: "
        "report.json.</p>"
    )


def _nearby(command: str, report: dict[str, Any]) -> str:
    """A command with paths from here instead of from the root: a page that is sent away does not tell where it lay."""
    for path in (report["data"]["source"], report["folder"]):
        if os.path.isabs(path):
            command = command.replace(path, os.path.relpath(path))
    return command


def _coloured(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each model with the number of its colour, by rank; baselines are grey."""
    learnt = [model["label"] for model in models if model["group"] is None]
    numbers = {label: number for number, label in enumerate(learnt)}
    return [{**model, "colour": numbers.get(model["label"])} for model in models]
