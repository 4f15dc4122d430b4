"""Sweeps: every combination once, failures as points, what was found in words."""

import json
from pathlib import Path

import pytest

import limner
from limner.errors import UserError
from limner.studies import sweep as study

TINY = f"{Path(__file__).parents[1] / 'tiny.py'}:recipe"
SHORT = {"model": TINY, "steps": 30, "threads": 1, "quiet": True, "precision": "float32", "layout": "contiguous"}


def point(fd, passes, reach=0.5, **options):
    measure = {"value": fd, "low": fd - reach, "high": fd + reach, "floor": 1.0}
    return study.Point("run", options, passes, {"fd": measure})


def test_every_combination_comes_once():
    assert study.ways({"steps": [2, 4], "solver": ["heun", "euler"]}) == [
        {"steps": 2, "solver": "heun"},
        {"steps": 2, "solver": "euler"},
        {"steps": 4, "solver": "heun"},
        {"steps": 4, "solver": "euler"},
    ]
    assert study.ways({}) == [{}]


def test_the_cheapest_of_what_is_as_good_is_named():
    points = [point(3.0, 40, steps=20), point(3.4, 20, steps=10), point(3.4, 24, steps=12), point(9.0, 4, steps=2)]
    assert study.ranked(points)[0].options == {"steps": 20}
    assert study.cheapest_as_good(points).options == {"steps": 10}
    best, cheap = study.in_words(points)
    assert "steps=20" in best and "real pictures score 1 (the floor)" in best
    assert "steps=10" in cheap and "20 network passes" in cheap


def test_a_line_of_the_chart_runs_along_one_option():
    some, more = point(1.0, 2, steps=2, solver="heun"), point(1.0, 4, steps=4, solver="heun")
    assert some.line("steps") == more.line("steps") == "run solver=heun"


def chosen(truncation, recall, precision):
    one = point(5.0, 1, truncation=truncation)
    also = {"recall": {"value": recall}, "precision": {"value": precision}}
    return study.Point("run", one.options, 1, {**one.measures, **also})


def test_what_costs_nothing_is_shown_as_a_path_between_fidelity_and_diversity():
    points = [chosen(1.0, 0.8, 0.7), chosen(0.25, 0.2, 0.95), chosen(0.5, 0.6, 0.9)]
    page = study.page(points, 100, ["limn", "sweep"])
    assert "Quality against truncation" in page and "Quality against cost" not in page
    drawn = page[page.index("Fidelity against diversity") :]
    line = drawn[drawn.index('points="') + 8 :].split('"')[0].split()
    across = [float(pair.split(",")[0]) for pair in line]
    assert across == sorted(across) and len(across) == 3, "along the option, not along the rank"
    assert all(f">{name}</text>" in drawn for name in ("0.25", "0.5", "1"))


def test_steps_alone_have_no_such_path():
    page = study.page([point(3.0, 8, steps=8), point(4.0, 4, steps=4)], 100, ["limn", "sweep"])
    assert "Quality against cost" in page and "Fidelity against diversity" not in page


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    run = limner.train("digits", out=folder / "tiny", **SHORT)
    return run, limner.sweep(run, {"temperature": [0.2, 1.0, -1.0]}, n=100, out=folder / "out")


def test_what_cannot_be_done_is_a_point_that_says_why(swept):
    _, found = swept
    *measured, failed = found["points"]
    assert failed["options"] == {"temperature": -1.0} and "temperature" in failed["why"]
    assert {one["options"]["temperature"] for one in measured} == {0.2, 1.0}
    assert measured[0]["fd"]["value"] <= measured[1]["fd"]["value"]


def test_numbers_are_those_of_eval(swept):
    run, found = swept
    alone = run.evaluate(n=100, temperature=0.2).to_dict()
    (same,) = [one for one in found["points"] if one["options"]["temperature"] == 0.2]
    assert same["fd"] == alone["fd"] and same["evaluations"] == 1


def test_the_report_is_whole(swept):
    _, found = swept
    page = Path(found["page"])
    assert "<svg" in page.read_text() and "temperature=0.2" in page.read_text()
    assert json.loads(page.with_name("sweep.json").read_text())["best"] == found["best"]


def test_what_contradicts_itself_is_refused(swept):
    run, _ = swept
    with pytest.raises(UserError, match="both varied and fixed"):
        limner.sweep(run, {"temperature": [1.0]}, temperature=2.0)
    with pytest.raises(UserError, match="none of the 2 ways could be measured; tiny temprature=1.*did you mean"):
        limner.sweep(run, {"temprature": [1.0, 2.0]}, n=100)
    with pytest.raises(UserError, match="nothing to sweep"):
        limner.sweep(run, {"temperature": []})
