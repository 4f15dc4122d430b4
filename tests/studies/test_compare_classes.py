"""Comparing class by class: pictures painted with labels, the same numbers as `limn eval --per-class`, the table."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import limner
from limner.cli import limn
from limner.cli.frame import run as call
from limner.evaluation.by_class import FEWEST
from limner.studies.compare import finish
from limner.verbs import contending

TINY = f"{Path(__file__).parents[1] / 'tiny.py'}:recipe"
QUIET = {"threads": 1, "precision": "float32", "layout": "contiguous"}


def here(place, row, again=False, quiet=False):
    """A row made in this process."""
    return finish(place, row, lambda row: contending.make(row, place, quiet=True), again)


@pytest.fixture(scope="module")
def digits_by_height(tmp_path_factory):
    """Digits below five and others, 8 x 8, many of them held out."""
    packed = limner.pack("digits")
    folder = tmp_path_factory.mktemp("digits")
    labels = packed.labels(packed.train)
    for number, label in zip(packed.train[:700], labels[:700], strict=True):
        place = folder / ("test" if number % 2 else "train") / ("low" if label < 5 else "high")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(packed.read([number])[0, ..., 0]).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def compared(digits_by_height, tmp_path_factory):
    """A run that knows the classes, pictures with labels, pictures without."""
    folder = tmp_path_factory.mktemp("compared")
    run = limner.train(digits_by_height, TINY, steps=20, out=folder / "tiny", quiet=True, **QUIET)
    packed = limner.pack(digits_by_height)
    pictures, labels = packed.read(packed.train), packed.labels(packed.train)
    np.savez(folder / "labelled.npz", x=pictures, y=labels)
    np.savez(folder / "bare.npz", x=pictures)
    names = [str(run.path), str(folder / "labelled.npz"), str(folder / "bare.npz")]
    how = {"out": folder / "out", "n": 150, "quiet": True}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contending, "in_own_process", here)
        report = limner.compare(digits_by_height, names, **how)
    return {"report": report, "run": run, "how": how, "names": names, "data": digits_by_height}


def test_each_class_has_numbers_of_as_many_pictures_as_its_floor(compared):
    models = {model["label"]: model["by_class"] for model in compared["report"]["models"]}
    assert compared["report"]["by_class"]["pictures"] == {"high": 75, "low": 75} and FEWEST < 75
    for name in ("tiny", "labelled"):
        assert [(one["class"], one["n"]) for one in models[name]["classes"]] == [("high", 75), ("low", 75)]
        assert models[name]["words"].startswith("worst class ")
    assert models["tiny"]["protocol"] == models["labelled"]["protocol"]
    for bad, good in zip(models["tiny"]["classes"], models["labelled"]["classes"], strict=True):
        assert bad["fd"]["value"] > 2 * good["fd"]["value"] and bad["fd"]["floor"] == good["fd"]["floor"]
    assert models["bare"]["classes"] == [] and "has no array 'y'" in models["bare"]["why"]


def test_eval_gives_the_same_numbers(compared):
    row = next(one for one in compared["report"]["results"] if one["row"]["label"] == "tiny")
    result = compared["run"].evaluate(n=150, per_class=True)
    assert result.to_dict()["by_class"] == row["measured"]["by_class"]
    assert result.to_dict()["fd"] == row["measured"]["fd"], "the classes change nothing of the whole"
    command = shlex.split(row["commands"][-1])
    assert command[:2] == ["limn", "eval"] and "--per-class" in command
    assert call(limn, [*command[1:], "--json"]) == 0
    with pytest.raises(limner.UserError, match="leave the label away"):
        compared["run"].evaluate(n=150, per_class=True, label="low")


def test_a_run_without_labels_says_so(compared, tmp_path):
    run = limner.train(compared["data"], TINY, steps=2, out=tmp_path / "r", quiet=True, labels="none", **QUIET)
    with pytest.raises(limner.UserError, match="r cannot be asked for classes: it was trained without labels"):
        run.evaluate(n=150, per_class=True)
    with pytest.raises(limner.UserError, match="no class has 50 pictures"):
        compared["run"].evaluate(n=60, per_class=True)


def test_the_page_has_the_table_and_names_the_worst(compared):
    page = (compared["how"]["out"] / "report.html").read_text()
    for said in ("How good is each class?", "worst class ", "has no array &#x27;y&#x27;", "KID"):
        assert said in page, said


def test_rows_that_were_measured_without_classes_say_so(compared, tmp_path, monkeypatch):
    monkeypatch.setattr(contending, "in_own_process", here)
    how = {**compared["how"], "out": tmp_path / "out"}
    limner.compare(compared["data"], compared["names"][1], per_class=False, **how)
    report = limner.compare(compared["data"], compared["names"][1], per_class=True, **how)
    assert "--no-per-class" in report["models"][0]["by_class"]["why"]


def test_leaving_the_classes_out_is_cheaper(compared):
    asked = {"dry_run": True, "out": "elsewhere", "n": 150, "steps": 2, "settings": QUIET}
    costs = [limner.compare(compared["data"], TINY, per_class=per_class, **asked) for per_class in (True, False)]
    assert costs[0]["disk_bytes"] > costs[1]["disk_bytes"]
