"""What a report says in sentences."""

from __future__ import annotations

import math
from typing import Any

from limner.studies.plots import short
from limner.studies.toy.plan import SHOWS

NEAR = 0.02
"""How near D's mean to 1/2 and the value to -log 4 have to be for the game to be at rest."""


def verdict(report: dict[str, Any]) -> list[str]:
    """The result first, then what theory says of it."""
    lines = [_result(report)]
    if report["model"] != "gan":
        return [*lines, *_solvers(report)]
    if report["show"]:
        lines.append(_shown(report))
    if report["balance"]:
        lines.append(_rest(report["balance"]))
    frozen = report["frozen"]
    lines.append(
        f"With G standing still after step {frozen['step']:,}, a D that is trained on comes within "
        f"{short(frozen['error'])} of the best one on average; its value is {frozen['value']:.3f}, and the best D's "
        f"{frozen['optimum']:.3f}."
    )
    if report["gaps"]:
        first, last = max(report["gaps"], key=lambda row: row["gap"]), report["gaps"][-1]
        lines.append(
            f"The duality gap went from {short(first['gap'])} (step {first['step']:,}) to {short(last['gap'])}."
        )
    return lines


def _result(report: dict[str, Any]) -> str:
    found = report["quality"]
    ratio = found["jsd"] / max(found["floor"], 1e-9)
    text = (
        f"After {report['steps']:,} steps the points are {short(found['jsd'])} nats of Jensen-Shannon divergence from "
        f"the data, {short(ratio)} times what as many true points are ({short(found['floor'])})."
    )
    if "modes" in found:
        text += (
            f" {found['modes']} of {found['of']} modes are covered and {found['good']:.0%} of the points are good "
            f"(of true ones {found['good_floor']:.0%})."
        )
    return text


def _shown(report: dict[str, Any]) -> str:
    what = SHOWS[report["show"]][0]
    cure = f" Against it: {report['remedy']}." if report["remedy"] else ""
    return f"Made to show {what}.{cure}"


def _rest(balance: dict[str, float]) -> str:
    rest = balance["belief_off"] <= NEAR and balance["value_off"] <= NEAR
    return (
        f"The game {'is' if rest else 'is not'} at rest: over the last tenth D says {balance['belief']:.3f} on average "
        f"(1/2 at rest, at most {balance['belief_off']:.3f} off), and the value is {balance['value']:.3f} "
        f"(-log 4 = {-math.log(4):.3f}, at most {balance['value_off']:.3f} off)."
    )


def _solvers(report: dict[str, Any]) -> list[str]:
    rows = [row for row in report["solvers"] if row["looks"] <= 8]
    if not rows:
        return []
    best = min(rows, key=lambda row: row["jsd"])
    return [
        f"With at most 8 looks at the network {best['solver']} comes nearest: {short(best['jsd'])} in {best['looks']}; "
        f"{report['fine']['solver']} with {report['fine']['looks']} looks gives {short(report['quality']['jsd'])}."
    ]
