"""Everything that a comparison found, as plain values, and written: report.json and report.html."""

from __future__ import annotations

import datetime
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.devices import machine
from limner.evaluation.by_class import FEWEST, real_classes
from limner.evaluation.features import load
from limner.evaluation.meanings import MEANINGS, leading
from limner.evaluation.protocol import require_one_protocol
from limner.provenance import version
from limner.studies.compare import words
from limner.studies.compare.page import page
from limner.studies.compare.pictures import Sheets
from limner.studies.compare.plan import Row
from limner.studies.compare.ranking import TEST, Summary, contest, order, summarise
from limner.studies.compare.rows import Result, outcomes, unmade

if TYPE_CHECKING:
    from limner.data import Pack

FORMAT = "limner-comparison-1"
JSON, HTML = "report.json", "report.html"


class Report:
    """The report of a comparison.

    Args:
        folder: of the comparison. rows: all of its rows. pack: the real pictures. command: makes it again.
        show_real: whether real pictures may be seen in it.
    """

    def __init__(self, folder: Path, rows: Sequence[Row], pack: Pack, command: str, show_real: bool = True) -> None:
        self.folder, self.rows, self.pack, self.command = folder, rows, pack, command
        self.show_real = show_real

    def state(self) -> dict[str, Any]:
        """How far the comparison is: rows in all, and the names of those that are not there."""
        missing = [row.name for row in unmade(self.folder, self.rows)]
        return {"complete": not missing, "rows": len(self.rows), "missing": missing, "folder": str(self.folder)}

    def write(self) -> dict[str, Any]:
        """Write both files from the rows that are there. Returns the content of report.json.

        Raises:
            UserError: rows were measured under different protocols.
        """
        found = self.to_dict()
        storage.write_file(self.folder / JSON, json.dumps(found, indent=1, allow_nan=False) + "\n")
        storage.write_file(self.folder / HTML, page(found, Sheets(self.folder, self.pack, self.show_real)))
        return found

    def to_dict(self) -> dict[str, Any]:
        """The content of report.json."""
        results = outcomes(self.folder, self.rows)
        finished = [result for result in results if "failed" not in result]
        measured = [result["measured"] for result in finished]
        require_one_protocol(measured)
        by = "fd"
        if finished:
            by = leading(measured[0]["n"], load(self.rows[0].features).dimension)
        models = rank(finished, by)
        failed = [
            {"row": result["row"]["name"], "label": result["row"]["label"], "why": result["failed"]}
            for result in results
            if "failed" in result
        ]
        found = {
            "format": FORMAT,
            "limner": version(),
            "date": datetime.datetime.now().isoformat(" ", "seconds"),
            "machine": machine(),
            "command": self.command,
            **self.state(),
            "data": self._data(),
            "training": next((row.length for row in self.rows if row.kind == "train"), None),
            "n": measured[0]["n"] if measured else self.rows[0].n,
            "protocol": measured[0]["protocol"] if measured else None,
            "protocol_detail": measured[0]["protocol_detail"] if measured else None,
            "ranked_by": by,
            "test": TEST,
            "models": models,
            "failed": failed,
            "results": results,
            "by_class": self._by_class(),
        }
        return {**found, "verdict": words.verdict(found)}

    def _by_class(self) -> dict[str, Any] | None:
        """The classes with the number of real pictures each is measured against; None where the set has none."""
        first = self.rows[0]
        real = real_classes(self.pack, first.against, first.n, first.draw)
        if real is None:
            return None
        counts = dict(zip(real.names, map(len, real.reference), strict=True))
        return {"column": real.column, "pictures": counts, "fewest": FEWEST, "share": real.share}

    def _data(self) -> dict[str, Any]:
        first, pack = self.rows[0], self.pack
        return {
            "source": first.data,
            "options": first.options,
            "pack": str(pack.id),
            "pictures": len(pack.train),
            "held_out": len(pack.held_out),
            "shape": list(pack.shape),
            "classes": list(pack.classes),
        }


def rank(results: Sequence[Result], by: str) -> list[dict[str, Any]]:
    """The models of some results, best first by one measure, each with how it stands to the next and to the best."""
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(result["row"]["label"], []).append(result)
    scored = [(label, rows, summaries(rows)) for label, rows in grouped.items()]
    scored = [scored[i] for i in order([measures[by] for _, _, measures in scored], by)]
    found = []
    for place, (label, rows, measures) in enumerate(scored):
        best, rest = scored[0], scored[place + 1 : place + 2]
        entry: dict[str, Any] = {
            "rank": place + 1,
            "label": label,
            "group": rows[0]["row"]["group"],
            "kind": rows[0]["row"]["kind"],
            "rows": [row["row"]["name"] for row in rows],
            "seeds": [(row["training"] or row["row"])["seed"] for row in rows],
            "measures": {name: summary.to_dict() for name, summary in measures.items()},
            "next": None,
            "tied_with_best": place == 0 or not contest(best[2][by], measures[by]).ahead,
            **_costs(rows),
            "abilities": rows[0]["abilities"],
            "by_class": _one_class_after_another(rows),
            "findings": _findings(rows),
        }
        for other, _, theirs in rest:
            test = contest(measures[by], theirs[by])
            said = "ahead of" if test.ahead else "tied with"
            entry["next"] = {"label": other, "words": said, "gap": test.gap, "chance": test.chance}
        found.append(entry)
    return found


def _one_class_after_another(rows: Sequence[Result]) -> dict[str, Any]:
    """The classes of a model's first row, or why there are none. Later seeds stand in `results`."""
    found = rows[0]["measured"].get("by_class")
    return {"classes": [], "why": rows[0].get("no_classes"), **(found or {})}


def summaries(rows: Sequence[Result]) -> dict[str, Summary]:
    """Each measure that all rows of a model have, over its seeds."""
    names = [name for name in MEANINGS if all(name in row["measured"] for row in rows)]
    return {name: summarise([row["measured"][name] for row in rows]) for name in names}


def _costs(rows: Sequence[Result]) -> dict[str, Any]:
    """What training and painting cost, the mean over the rows; None where nothing is known."""
    return {
        "training": {
            name: _mean(row["training"] and row["training"].get(name) for row in rows)
            for name in ("seconds", "steps", "parameters", "pictures_per_second", "peak_memory", "batch", "processes")
        },
        "sampling": {
            name: _mean(row["sampling"] and row["sampling"][name] for row in rows)
            for name in ("pictures_per_second", "evaluations")
        },
    }


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _findings(rows: Sequence[Result]) -> list[dict[str, Any]]:
    """What is wrong with a model's pictures: each fault once, with the number of rows that have it."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for finding in row["measured"]["findings"]:
            known = found.setdefault(finding["name"], {"name": finding["name"], "words": finding["words"], "rows": 0})
            known["rows"] += 1
    return [{**one, "of": len(rows)} for one in found.values()]
