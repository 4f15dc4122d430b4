"""Ranking and ties on made-up scores."""

import numpy as np
import pytest

from limner.evaluation.meanings import leading
from limner.studies.compare import words
from limner.studies.compare.ranking import contest, order, summarise
from limner.studies.compare.report import rank


def measure(value, half=0.1, floor=0.5):
    return {"value": value, "low": value - half, "high": value + half, "floor": floor}


def result(label, seed, fd, half=0.1, group=None, findings=(), **changed):
    return {
        "row": {"name": f"{label}-s{seed}", "label": label, "seed": seed, "group": group, "kind": "train"},
        "measured": {
            "fd": measure(fd, half),
            "kid": measure(fd / 10, half / 10, 0.0),
            "precision": measure(0.6, 0.1, 0.9),
            "findings": [{"name": name, "words": name} for name in findings],
        },
        "training": dict.fromkeys(("steps", "parameters", "pictures_per_second", "peak_memory", "batch"), 7)
        | {"seconds": 60, "seed": seed},
        "sampling": {"pictures_per_second": 10.0, "evaluations": 1},
        "abilities": [],
        **changed,
    }


def report(results, by="fd", **changed):
    return {
        "models": rank(results, by),
        "ranked_by": by,
        "failed": [],
        "missing": [],
        "rows": len(results),
        "data": {"pictures": 5000},
        "training": {"budget": 120.0},
        **changed,
    }


def test_the_mean_over_seeds_and_its_interval():
    found = summarise([measure(v, half=1e-6) for v in (1.0, 2.0, 3.0)])
    assert found.mean == 2 and found.deviation == pytest.approx(1)
    assert found.interval[1] - 2 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-3), (
        "Student's t with 2 degrees of freedom"
    )
    alone = summarise([measure(1.0, half=0.2)])
    assert alone.deviation is None and alone.interval[1] == pytest.approx(1.2), (
        "one seed: the interval of the measurement"
    )


def test_the_spread_is_never_smaller_than_that_of_drawing_pictures():
    same = summarise([measure(2.0, half=0.3)] * 4)
    assert same.interval[1] - 2 == pytest.approx(0.3 / 2, rel=0.05)


def test_ahead_and_tied():
    far = [summarise([measure(v, 0.01) for v in values]) for values in ((1.0, 1.1, 0.9), (3.0, 3.1, 2.9))]
    near = [summarise([measure(v, 0.01) for v in values]) for values in ((1.0, 2.0, 1.5), (1.4, 1.9, 2.1))]
    assert contest(*far).ahead and contest(*far).chance < 0.005
    assert not contest(*near).ahead
    assert contest(far[0], far[0]).chance == pytest.approx(1)


def test_chance_is_called_chance_as_often_as_it_should_be():
    """Two models that are the same are called ahead in about five of a hundred comparisons."""
    draw = np.random.default_rng(0)
    ahead = 0
    for _ in range(400):
        a, b = (summarise([measure(v, 0.001) for v in draw.normal(5, 1, 3)]) for _ in range(2))
        ahead += contest(a, b).ahead
    assert 4 <= ahead <= 32, "of 400, 20 expected"


def test_order_follows_the_direction_of_the_measure():
    values = [summarise([measure(v)]) for v in (3.0, 1.0, 2.0)]
    assert order(values, "fd") == [1, 2, 0] and order(values, "recall") == [0, 2, 1]
    assert leading(2500, 304) == "fd" and leading(120, 304) == "kid"


def test_models_are_ranked_with_their_neighbours():
    results = [
        result(label, seed, fd + 0.1 * seed) for label, fd in (("c", 9), ("a", 1), ("b", 1.05)) for seed in range(3)
    ]
    models = rank(results, "fd")
    assert [model["label"] for model in models] == ["a", "b", "c"] and [m["rank"] for m in models] == [1, 2, 3]
    assert models[0]["next"]["words"] == "tied with" and models[0]["next"]["label"] == "b"
    assert models[1]["next"]["words"] == "ahead of" and models[2]["next"] is None
    assert [m["tied_with_best"] for m in models] == [True, True, False]
    assert models[0]["measures"]["fd"]["values"] == pytest.approx([1, 1.1, 1.2])


def test_a_fault_of_some_seeds_is_counted():
    results = [result("a", seed, 1.0, findings=["blur"] if seed else []) for seed in range(3)]
    assert rank(results, "fd")[0]["findings"] == [{"name": "blur", "words": "blur", "rows": 2, "of": 3}]


def test_the_verdict_in_words():
    clear = words.verdict(
        report([result("a", s, 1.0 + 0.01 * s, 0.01) for s in range(3)] + [result("b", s, 9 + s) for s in range(3)])
    )
    assert clear[0] == "For your 5,000 pictures and 2 minutes of training: a."
    assert "It is ahead of b by more than chance." in clear
    assert any("2 times as far" in said for said in clear)
    tied = words.verdict(report([result("a", 0, 1.0, 0.5), result("b", 0, 1.1, 0.5)]))
    assert any(said.startswith("b cannot be told from it") for said in tied) and any(
        "--seeds 3" in said for said in tied
    )
    few = words.verdict(report([result("a", 0, 1.0)], by="kid"))
    assert "60% of its pictures could pass for real; of real ones it is 90%." in few
    beaten = words.verdict(report([result("mean", 0, 1.0, group="baselines"), result("b", 0, 9.0)]))
    assert any("no neural generator beat it" in said for said in beaten)
    slow = result("a", 0, 1.0)
    fast = result("b", 0, 2.5) | {"sampling": {"pictures_per_second": 500.0, "evaluations": 1}}
    assert any("b makes 500 a second, a 10." in said for said in words.verdict(report([slow, fast])))
    assert words.verdict(report([]))[0].startswith("No model could be measured")


@pytest.mark.parametrize(
    ("seconds", "said"), [(8, "8 seconds"), (60, "1 minute"), (120, "2 minutes"), (5400, "1.5 hours")]
)
def test_durations(seconds, said):
    assert words.duration(seconds) == said
