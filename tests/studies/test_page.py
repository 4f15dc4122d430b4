"""The page: whole, alone, and safe with any name; a comparison from beginning to end."""

import html.parser
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import limner
from limner.studies import plots
from limner.studies.plots import Scale, Series
from limner.verbs.contending import typed

TINY = f"{Path(__file__).parents[1] / 'tiny.py'}:recipe"
VOID = {"meta", "img", "br", "hr", "input", "link"}
DRAWN = {"circle", "line", "polyline"}


class Checker(html.parser.HTMLParser):
    """Tags are closed in order; what the page refers to is in it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.tags, self.text = [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in DRAWN | VOID, f"<{tag}/> does not close itself in HTML"
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


def checked(page):
    found = Checker()
    found.feed(page)
    found.close()
    assert not found.open
    assert all(link.startswith("data:image/png;base64,") for link in found.links)
    assert not re.search(r"https?://|url\(|@import|<script|<link", page), "everything is in the file"
    return found


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of a tiny recipe, a model that fails, and pictures of another tool with an odd name."""
    folder = tmp_path_factory.mktemp("compare")
    packed = limner.pack("digits")
    given = folder / "noise <b>&.npz"
    np.savez(given, x=np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8))
    few = folder / "few.npz"
    np.savez(few, x=packed.read(packed.train[:20])[..., 0])
    settings = {"threads": 1, "precision": "float32", "layout": "contiguous"}
    out = folder / "out"
    how = {"steps": 30, "seeds": 2, "settings": settings, "quiet": True, "out": out}
    models = [str(given), TINY, f"too few={few}"]
    cost = limner.compare("digits", models, dry_run=True, **how)
    assert not (out / "rows").exists()
    first = limner.compare("digits", models, shard="1/2", **how)
    report = limner.compare("digits", models, **how)
    return {"cost": cost, "first": first, "report": report, "out": out, "models": models, "how": how}


def test_the_cost_is_said_first(compared):
    cost = compared["cost"]
    assert cost["rows"] == 4 and cost["there"] == 0 and cost["disk_bytes"] > 0
    assert cost["models"][0]["parameters"] > 1000 and cost["seconds"]["train"] > 0
    assert "4 rows" in limner.verbs.cost_in_words(cost)


def test_a_shard_leaves_the_report_to_the_last(compared):
    assert compared["first"]["complete"] is False and len(compared["first"]["missing"]) == 2


def test_the_report(compared):
    report = compared["report"]
    assert report == json.loads((compared["out"] / "report.json").read_text())
    assert report["complete"] and [model["label"] for model in report["models"]] == ["tiny", "noise <b>&"]
    assert report["models"][0]["seeds"] == [0, 1] and len(report["models"][0]["measures"]["fd"]["values"]) == 2
    assert report["models"][0]["next"]["words"] == "ahead of" and report["ranked_by"] == "kid"
    assert report["failed"][0]["label"] == "too few" and "20 pictures, but" in report["failed"][0]["why"]
    assert report["verdict"][0] == "For your 1,617 pictures and 30 steps of training: tiny."
    trained = next(one for one in report["results"] if one["row"]["name"] == "tiny-s0")
    assert trained["training"]["steps"] == 30 and trained["training"]["peak_memory"] > 1e6
    assert trained["abilities"] == ["labels"] and trained["sampling"]["evaluations"] == 1
    assert len(trained["commands"]) == 3 and trained["commands"][0].startswith("limn train ")
    assert trained["curves"]["losses"] and trained["measured"]["classes"]["column"] == "label"


def test_the_commands_of_a_row_repeat_it(compared):
    import shlex

    from limner.cli import limn
    from limner.cli.frame import run

    trained = next(one for one in compared["report"]["results"] if one["row"]["name"] == "tiny-s0")
    evaluated = shlex.split(trained["commands"][-1])
    again = limner.evaluate(trained["pictures"], "digits", n=120)
    assert again.to_dict()["fd"] == trained["measured"]["fd"] and again.protocol == compared["report"]["protocol"]
    assert evaluated[:2] == ["limn", "eval"] and run(limn, [*evaluated[1:], "--json"]) == 0


def test_a_row_is_not_made_twice(compared):
    times = {path: path.stat().st_mtime_ns for path in (compared["out"] / "rows").glob("*.json")}
    limner.compare("digits", compared["models"], **compared["how"])
    assert times == {path: path.stat().st_mtime_ns for path in (compared["out"] / "rows").glob("*.json")}
    with pytest.raises(limner.UserError, match="was made otherwise .*choose another --out"):
        limner.compare("digits", compared["models"], **{**compared["how"], "steps": 31})


def test_pictures_that_have_changed_are_not_given_their_old_numbers(compared):
    given = Path(compared["models"][0])
    held, times = given.read_bytes(), (given.stat().st_atime_ns, given.stat().st_mtime_ns)
    np.savez(given, x=np.zeros((200, 8, 8), np.uint8))
    with pytest.raises(limner.UserError, match="is not what .* measured any more"):
        limner.compare("digits", compared["models"], **compared["how"])
    given.write_bytes(held)
    os.utime(given, ns=times)
    limner.compare("digits", compared["models"], **compared["how"])


def test_what_is_mistyped_is_said_before_anything_is_trained(tmp_path):
    with pytest.raises(limner.UserError, match="nonesuch"):
        limner.compare("digits", TINY, steps=3, features="nonesuch", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_model_that_is_trained_has_a_cost(compared):
    """Also where a set of pictures, which has no seed, comes first."""
    how = {**compared["how"], "seeds": [3], "out": "elsewhere"}
    cost = limner.compare("digits", compared["models"][:2], dry_run=True, **how)
    assert cost["seconds"]["train"] > 0


def test_the_whole_command_keeps_what_was_asked_for(compared):
    how = {**compared["how"], "show_real": False}
    report = limner.compare("digits", compared["models"], **how)
    assert "--no-real" in report["command"]
    assert typed({"stream": True, "size": [8, 9], "crop": "fit"}) == ["--stream", "--size", "8x9", "--crop", "fit"]
    limner.compare("digits", compared["models"], **compared["how"])


def test_the_page_is_whole_and_alone(compared):
    page = (compared["out"] / "report.html").read_text()
    found = checked(page)
    assert page.count("<img") >= 5 and "prefers-color-scheme: dark" in page and "width=device-width" in page
    assert "noise <b>&" in found.text and "<b>&" not in page.replace("&lt;b&gt;&amp;", ""), "names are escaped"
    for said in (*compared["report"]["verdict"], "lower is better", "too few", "noisy", "floor"):
        assert said in found.text, said
    assert "1 process" in found.text, "a score says how many shared its batch"
    assert len(page) < 1_000_000
    assert f"--out {os.path.relpath(compared['out'])}" in found.text and f"--out {compared['out']}" not in found.text


def test_a_report_of_failures_alone(compared, tmp_path):
    """Nothing could be measured: the page says so, and why."""
    from limner.studies.compare.plan import Row, named_rows
    from limner.studies.compare.report import Report
    from limner.studies.compare.rows import finish

    asked = next(one["row"] for one in compared["report"]["results"] if one["row"]["kind"] == "train")
    rows = named_rows([Row(**{**asked, "label": label}) for label in ("a", "b")])
    finish(tmp_path, rows[0], lambda row: {"failed": "no <luck>"})
    report = Report(tmp_path, rows, limner.pack("digits"), "limn compare").write()
    assert report["models"] == [] and report["missing"] == ["b-s0"] and not report["complete"]
    text = checked((tmp_path / "report.html").read_text()).text
    assert "No model could be measured" in text and "no <luck>" in text and "not made yet" in text


def test_unknown_models_are_named(tmp_path):
    for word, said in (
        ("flwo", "did you mean 'flow'"),
        ("x=nowhere.npz", "no run and no pictures at 'nowhere.npz'"),
        ("", "no models"),
    ):
        with pytest.raises(limner.UserError, match=said):
            limner.compare("digits", word, out=tmp_path)
    with pytest.raises(limner.UserError, match="budget and steps contradict"):
        limner.compare("digits", "flow", out=tmp_path, budget="1m", steps=3)
    with pytest.raises(limner.UserError, match="impossible seeds 0"):
        limner.compare("digits", "flow", out=tmp_path, seeds=0)


def test_a_launcher_of_several_processes_is_refused(tmp_path, monkeypatch):
    """Each of them would make every row; shards are for that."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(limner.UserError, match=r"one of 2 of a launcher: run it without torchrun.*--shard 1/2"):
        limner.compare("digits", TINY, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "values", [[1, 2], [0.001, 5.0], [3.0], [0, 0], [-0.1, 2], [1e-9, 1e9], [5, 5.0001], [12000, 1e6]]
)
def test_scales_hold_their_values_and_have_round_ticks(values):
    scale = Scale.of(values, 10, 100)
    assert all(10 <= scale(v) <= 110 for v in values)
    assert (2 if scale.log else 3) <= len(scale.ticks()) <= 7
    assert all(10 - 1e-6 <= scale(tick) <= 110 + 1e-6 for tick in scale.ticks())


def test_charts_are_drawn_with_anything():
    some = [
        Series("a & b", [(1.0, 2.0)], 0, [(1.5, 2.5)]),
        Series("c", [(1.0, 2.0)], None),
        Series("d" * 40, [(900.0, 50.0)], 11),
    ]
    drawn = plots.scatter(some, "x", "y", floor=0.1)
    checked(drawn)
    places = re.findall(r'class="name" x="([\d.-]+)" y="([\d.]+)"', drawn)
    assert len(set(places)) == 3 and all(0 <= float(x) < plots.WIDTH for x, _ in places), "no label covers another"
    checked(plots.lines([Series("a", [(0.0, 1.0), (1.0, float(2)), (2.0, 0.5)], 1)], "x", "y"))


def test_the_page_without_real_pictures(compared):
    whole = (compared["out"] / "report.html").read_text()
    limner.compare("digits", compared["models"], show_real=False, **compared["how"])
    page = (compared["out"] / "report.html").read_text()
    checked(page)
    # One sheet a model is left: neither the real ones nor the nearest training pictures.
    assert page.count("<img") == len(compared["report"]["models"]) == 2 < whole.count("<img")
    assert "never trained on" not in page and "nearest" not in page
