"""report.html of a training on points: the film, the theory beside what was measured, the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from limner.studies.page import card, data_uri, document, escape, heading, legend, section
from limner.studies.plots import Series, lines, short

Chart = tuple[list[Series], str, tuple[str, float] | None]
"""Lines, what goes up, and the name and height of a dashed line."""

REST, HALF = ("-log 4", -math.log(4)), ("1/2", 0.5)

_SAID = {
    "gan": "Top: data and samples; what D takes for data. Bottom: where G sends a grid of latents; the game's course.",
    "flow": "Points follow a velocity from noise; below, every solver with few looks at the network.",
}


def page(report: dict[str, Any], film: bytes, stills: Mapping[str, bytes]) -> str:
    """One HTML file that needs no other."""
    game = report["model"] == "gan"
    title = f"{report['model']} on {report['data']}"
    subtitle = (
        f"{report['steps']:,} steps of {report['config']['batch']} points, seed {report['seed']}, "
        f"{report['seconds']:.0f} seconds. Limner {report['limner']}, {report['date'][:10]}, "
        f"{report['machine']['cores']} processor cores."
    )
    parts = [
        heading(title, subtitle, report["verdict"]),
        section("The film", _film(title, film, stills["last"], _SAID["gan" if game else "flow"])),
        *(_game(report, stills) if game else _denoising(report, stills)),
        section("Settings", _settings(report["config"])),
        section("Do it again", f"<pre><code>{escape(report['command'])}</code></pre>"),
    ]
    return document(title, parts)


def _film(title: str, film: bytes, still: bytes, note: str) -> str:
    """Those who have asked their device for less movement get the last picture."""
    return (
        f'<figure class="film"><picture><source media="(prefers-reduced-motion: reduce)" srcset="{data_uri(still)}">'
        f'<img alt="{escape(title)}" src="{data_uri(film, "gif")}"></picture>'
        f'<figcaption class="soft small">{escape(note)}</figcaption></figure>'
    )


def _game(report: dict[str, Any], stills: Mapping[str, bytes]) -> Iterator[str]:
    rows, frozen = report["curves"], report["frozen"]
    yield section("D against a G that stands still", *_frozen(frozen, stills["frozen"]))
    yield section("The game's course", *_course(report, rows))
    if report["gaps"]:
        gaps = report["gaps"]
        note = (
            "How much either side could still win if the other stood still: the best answer of D gives the upper line, "
            "that of G the lower one. At the equilibrium they meet at -log 4."
        )
        drawn = [
            Series("best D", [(row["step"], row["upper"]) for row in gaps], 0),
            Series("best G", [(row["step"], row["lower"]) for row in gaps], 1),
        ]
        width = [Series("gap", [(row["step"], row["gap"]) for row in gaps], 2)]
        yield section(
            "The duality gap",
            f"<p class='small'>{escape(note)}</p>",
            _charts([(drawn, "value", REST), (width, "gap", None)]),
        )


def _frozen(frozen: dict[str, Any], still: bytes) -> Iterator[str]:
    yield (
        f"<p class='small'>The best D of this loss ({escape(frozen['loss'])}) is known at every place from the two "
        f"densities; with it the loss measures {escape(frozen['measures'])}.</p>"
    )
    rows = [
        ("value of the trained D", frozen["value"], ""),
        ("value of the best D", frozen["optimum"], "from the densities, numerically"),
        ("distance of D from the best D", frozen["error"], "mean over data and samples"),
        ("Jensen-Shannon divergence", frozen["jsd"], "of the densities, in nats"),
    ]
    yield _table(("", "number", ""), [(name, f"{value:.4f}", note) for name, value, note in rows])
    yield f'<div class="cards wide">{card("D and the best D", data_uri(still), "")}</div>'
    pulls = frozen["pulls"]
    yield (
        "<p class='small'>Meanwhile, the gradient that G would get: the better D knows, the less the minimax loss "
        "says, while the non-saturating one keeps pulling.</p>"
    )
    drawn = [
        Series("minimax", [(row[0], row[1]) for row in pulls], 0),
        Series("non-saturating", [(row[0], row[2]) for row in pulls], 1),
    ]
    right = [Series("told right", [(row[0], row[3]) for row in pulls], 2)]
    yield _charts(
        [(drawn, "norm of G's gradient", None), (right, "share that D tells right", HALF)], "steps of D alone"
    )


def _course(report: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    def of(key: str, name: str, colour: int) -> Series:
        return Series(name, [(row["step"], row[key]) for row in rows], colour)

    floor = ("floor", report["quality"]["floor"])
    charts: list[Chart] = []
    if "value" in rows[0]:
        charts.append(([of("value", "value", 0)], "value V(D, G)", REST))
        charts.append(([of("belief", "D", 0)], "mean of D", HALF))
    charts.append(
        ([of("jsd", "G", 1), of("jsd_average", "average of G's weights", 2)], "divergence from the data", floor)
    )
    charts.append(([of("pull", "G", 1)], "norm of G's gradient", None))
    if "modes" in rows[0]:
        charts.append(([of("modes", "modes", 2)], f"modes covered, of {report['quality']['of']}", None))
        charts.append(
            ([of("good", "good", 2)], "share of good samples", ("true points", report["quality"]["good_floor"]))
        )
    yield _charts(charts)


def _denoising(report: dict[str, Any], stills: Mapping[str, bytes]) -> Iterator[str]:
    floor = ("floor", report["quality"]["floor"])
    names = list(dict.fromkeys(row["solver"] for row in report["solvers"] if row["solver"] != "adaptive"))
    drawn = [
        Series(name, [(row["looks"], row["jsd"]) for row in report["solvers"] if row["solver"] == name], place)
        for place, name in enumerate(names)
    ]
    note = "Each look is one pass of the network. The floor is what as many true points have."
    for row in report["solvers"]:
        if row["solver"] == "adaptive":
            note += f" The adaptive solver takes the looks that it needs: {row['looks']}, for {short(row['jsd'])}."
    head = ("solver", "looks", "steps", "divergence") + (("modes", "good") if "modes" in report["quality"] else ())
    table = [
        (row["solver"], str(row["looks"]), str(row["steps"]), short(row["jsd"]))
        + ((f"{row['modes']} of {row['of']}", f"{row['good']:.0%}") if "modes" in row else ())
        for row in report["solvers"]
    ]
    yield section(
        "Every solver, few looks and many",
        f"<p class='small'>{escape(note)}</p>",
        _charts([(drawn, "divergence from the data", floor)], "looks at the network"),
        f"<details><summary>As a table</summary>{_table(head, table)}</details>",
    )
    course = [Series("divergence", [(row["step"], row["jsd"]) for row in report["curves"]], 1)]
    losses = [Series("loss", [tuple(row) for row in report["losses"]], 0)] if report["losses"] else []
    charts: list[Chart] = [(course, "divergence from the data", floor)]
    if losses:
        charts.append((losses, "loss", None))
    yield section(
        "While it learns",
        _charts(charts),
        f'<div class="cards wide">{card("points", data_uri(stills["course"]), "")}</div>',
    )


def _charts(charts: Iterable[Chart], x_title: str = "step") -> str:
    """Cards with a chart each."""
    cards = []
    for series, y_title, beside in charts:
        named, floor = beside or ("", None)
        keys = legend([(one.name, f"c{one.colour}") for one in series]) if len(series) > 1 else ""
        cards.append(f'<div class="card">{keys}{lines(series, x_title, y_title, floor, named)}</div>')
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def cells(row: tuple[str, ...], tag: str) -> str:
        first, *rest = row
        return f"<th class='left'>{escape(first)}</th>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in rest)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _settings(config: Mapping[str, Any]) -> str:
    rows = [(key, str(value)) for key, value in _leaves({**config["model"], "average": config["average"]})]
    return f"<details><summary>All of them</summary>{_table(('option', 'value'), rows)}</details>"


def _leaves(tree: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{start}{key}.")
        else:
            yield start + key, value
