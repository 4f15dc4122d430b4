"""The verdict in plain words, and one sentence on each number for a reader who has never met it."""

from __future__ import annotations

from typing import Any

EXPLAINED = {
    "fd": (
        "Fréchet distance",
        "lower",
        "How far the generated pictures, taken as one cloud of points, lie from real pictures that no model has seen.",
    ),
    "kid": (
        "KID",
        "lower",
        "The same question asked in another way, fairer when there are few pictures; it can dip slightly below zero.",
    ),
    "precision": ("Precision", "higher", "The share of generated pictures that could pass for real ones."),
    "recall": ("Recall", "higher", "The share of real pictures that the model could have made: its variety."),
    "density": ("Density", "higher", "Like precision, but a few odd real pictures cannot raise it; about 1 is ideal."),
    "coverage": ("Coverage", "higher", "The share of real pictures that have a generated one close by."),
    "is": ("Inception Score", "higher", "Each picture is clearly of one kind, and all kinds occur."),
}
"""Each measure's name, which way is better, what it means."""

FLOOR = (
    "The floor is what other real pictures score in the place of generated ones: perfect pictures would come out "
    "there, so nobody needs to do better."
)
INTERVAL = (
    "The small numbers under a score are the range in which it would lie 95 times in 100, "
    "had other pictures been drawn and other seeds trained."
)
OTHERS = {
    "training speed": "Pictures a second that a model learns from while it is trained; more is faster.",
    "sampling speed": "Pictures a second that a finished model makes; more is faster.",
    "memory": "The most working memory that a training held at any time; less is cheaper.",
    "parameters": "The numbers inside a model that training adjusts; fewer make a smaller file.",
}

_NOT_MUCH_WORSE = 3.0


def verdict(report: dict[str, Any]) -> list[str]:
    """A few sentences: which model to take, how sure that is, and what it is worth."""
    models = report["models"]
    if not models:
        return ["No model could be measured: see below why."]
    best = models[0]
    said = [f"{_situation(report)}: {best['label']}."]
    said += _lead(models)
    said += _worth(best, report["ranked_by"])
    said += _baselines(models)
    said += _fastest(best, models, report["ranked_by"])
    if best["findings"]:
        said.append(f"What is still wrong with the pictures of {best['label']}: {_listed(best['findings'])}.")
    elif len(models) > 1:
        said.append(f"No particular fault was found in the pictures of {best['label']}.")
    if best["by_class"].get("words"):
        said.append(f"Class by class, {best['label']}: {best['by_class']['words']}.")
    if report["failed"]:
        names = sorted({one["label"] for one in report["failed"]})
        said.append(f"{', '.join(names)} failed in at least one row: the reasons stand below.")
    if report["missing"]:
        said.append(f"{len(report['missing'])} of {report['rows']} rows are not there yet, so this may change.")
    return said


def duration(seconds: float) -> str:
    """Seconds in words: "8 seconds", "2 minutes", "1.5 hours"."""
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= size or unit == "second":
            number = f"{seconds / size:.3g}"
            return f"{number} {unit}{'' if number == '1' else 's'}"
    raise AssertionError("every duration is in seconds at least")


def _situation(report: dict[str, Any]) -> str:
    pictures = f"your {report['data']['pictures']:,} pictures"
    length = report["training"]
    if length is None or report["models"][0]["kind"] != "train":
        count = len(report["models"])
        return f"Of these {count}, nearest to {pictures}" if count > 1 else f"Measured against {pictures}"
    if "budget" in length:
        return f"For {pictures} and {duration(length['budget'])} of training"
    return f"For {pictures} and {length['steps']:,} steps of training"


def _lead(models: list[dict[str, Any]]) -> list[str]:
    best, others = models[0], models[1:]
    tied = [one["label"] for one in others if one["tied_with_best"]]
    behind = [one for one in others if not one["tied_with_best"]]
    said = []
    if tied:
        said.append(f"{_and(tied)} cannot be told from it by these scores: more seeds or more time would tell.")
    if behind:
        said.append(f"It is ahead of {_and([one['label'] for one in behind])} by more than chance.")
    if any(one["kind"] == "train" and len(one["rows"]) == 1 for one in models):
        said.append("With one seed each, how much a second training would differ is not known: --seeds 3 measures it.")
    return said if others else [f"Nothing else was compared with {best['label']}.", *said]


def _worth(best: dict[str, Any], by: str) -> list[str]:
    distance, precision = best["measures"]["fd"], best["measures"]["precision"]
    if by == "fd" and distance["floor"] > 0:
        times = distance["mean"] / distance["floor"]
        if times < 1.5:
            return ["Its pictures are about as near to real ones as real ones are to each other."]
        return [f"Its pictures lie {times:,.2g} times as far from real ones as other real pictures do."]
    return [
        f"{precision['mean']:.0%} of its pictures could pass for real; of real ones it is {precision['floor']:.0%}."
    ]


def _baselines(models: list[dict[str, Any]]) -> list[str]:
    best = models[0]
    if best["group"] is not None:
        learnt = any(one["group"] is None for one in models)
        return ["It is one of the simple baselines: no neural generator beat it here."] if learnt else []
    baselines = [one for one in models if one["group"] is not None]
    if baselines and baselines[0]["tied_with_best"]:
        return [f"It is not clearly better than the simple baseline {baselines[0]['label']}."]
    return []


def _fastest(best: dict[str, Any], models: list[dict[str, Any]], by: str) -> list[str]:
    """A model that is much faster and not much worse, if there is one."""
    own, reach = best["sampling"]["pictures_per_second"], _NOT_MUCH_WORSE * best["measures"][by]["mean"]
    near = [one for one in models if one["measures"][by]["mean"] <= reach and one["sampling"]["pictures_per_second"]]
    quick = max(near, key=lambda one: one["sampling"]["pictures_per_second"], default=best)
    speed = quick["sampling"]["pictures_per_second"]
    if own is None or quick is best or speed < 2 * own:
        return []
    said = (
        f"If pictures must come fast: {quick['label']} makes {_number(speed)} a second, {best['label']} {_number(own)}."
    )
    return [said]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _listed(findings: list[dict[str, Any]]) -> str:
    return "; ".join(one["words"] for one in findings)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
