"""The Python interface: every verb as a function, and the run that it hands over."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import limner
from limner import own
from limner.recipes import GROUPS
from limner.runs import RunFolder
from limner.training.loop import Trainer
from limner.verbs import units
from limner.verbs.wishes import Wish

TINY = f"{Path(__file__).parent / 'tiny.py'}:recipe"
SHORT = {"model": TINY, "steps": 30, "threads": 1, "quiet": True, "precision": "float32", "layout": "contiguous"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of the tiny generator."""
    folder = tmp_path_factory.mktemp("verbs") / "tiny"
    return limner.train("digits", out=folder, **SHORT)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1m30s", 90), ("1.5h", 5400), ("45", 45), (12.5, 12.5), ("1d", 86400)],
)
def test_durations(text, seconds):
    assert units.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10x", "m", "-5s", "0", "1m30", "nan", "inf", "ten", "1:30", -3])
def test_impossible_durations(text):
    with pytest.raises(limner.UserError, match="impossible duration"):
        units.duration(text)


@pytest.mark.parametrize("seconds", [0.4, 9, 59, 60, 61, 3599, 3600, 7325])
def test_durations_in_words_are_durations(seconds):
    assert units.duration(units.in_words(seconds)) == pytest.approx(seconds, abs=60 if seconds >= 3600 else 0.5)


def test_sizes():
    assert units.size("32") == 32
    assert units.size("48x64") == (48, 64), "height x width"
    assert units.size([48, 64]) == (48, 64) and units.size(7) == 7 and units.size(None) is None
    for wrong in ("x", "4x", "4x4x4", "-3", "3.5", ""):
        with pytest.raises(limner.UserError, match="impossible size"):
            units.size(wrong)


def test_names():
    assert units.names("a, b") == ("a", "b") == units.names(["a", "b"])
    with pytest.raises(limner.UserError, match="impossible list"):
        units.names(" ,")


def test_lengths_contradict_one_another():
    with pytest.raises(limner.UserError, match="budget and steps contradict"):
        Wish.of("1m", 5, None, {})
    with pytest.raises(limner.UserError, match="impossible epochs -1"):
        Wish.of(None, None, -1, {})


def test_the_package_is_a_table_of_contents():
    assert {"train", "open", "evaluate", "scan", "pack", "models", "Run", "Pictures", "UserError"} <= set(dir(limner))
    assert all(getattr(limner, name) is not None for name in limner.__all__)
    assert limner.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        limner.trian  # noqa: B018


def test_scan_and_pack():
    report = limner.scan("digits").to_dict()
    assert report["pictures"] == 1797 and report["classes"]["3"] == 183
    packed = limner.pack("digits", classes="3,4", size="16")
    assert packed.shape == (1, 16, 16) and packed.classes == ("3", "4")


def test_a_run(run):
    assert run.status["state"] == "finished" and run.status["step"] == 30
    assert run.config.spec.classes == tuple("0123456789")
    assert run.config.data.source == "digits" and run.config.train.steps == 30 and run.config.train.budget is None
    assert run.metrics()[-1]["step"] <= 30
    assert run.grid().size[0] > 100
    assert "tiny" in repr(run) and "data:image/png" in run._repr_html_()
    assert limner.open(run.path).config == run.config and limner.open(run) is run


def test_pictures_of_a_run(run):
    pictures = run.sample(12, seed=5, label="all")
    assert pictures.numpy().shape == (12, 8, 8, 1) and pictures.label(3) == "3"
    again = limner.sample(limner.open(run.path), 12, 5, "all")
    assert (again.numpy() == pictures.numpy()).all()
    assert pictures.about["run"] == "tiny" and len(pictures.about["weights"]) == 64
    with pytest.raises(limner.UserError, match=r"unknown option of tiny 'temprature' - did you mean 'temperature'"):
        run.sample(2, temprature=0.5)
    with pytest.raises(limner.UserError, match="sample: .*>= 1"):
        run.sample(0)


def test_a_run_can_be_taken_as_it_was_at_a_checkpoint(run):
    last, newest = run.sample(4).pixels, run.status["step"]
    kept = sorted(int(path.name.removeprefix("step-")) for path in run.folder.checkpoints.glob("step-*"))
    assert kept[-1] == newest and len(kept) > 1
    assert np.array_equal(limner.open(f"{run.path}@{newest}").sample(4).pixels, last)
    assert not np.array_equal(limner.open(f"{run.path}@{kept[0]}").sample(4).pixels, last)
    with pytest.raises(limner.UserError, match=f"no checkpoint of step 7: there are {kept[0]}"):
        limner.open(f"{run.path}@7").sample(4)


def test_a_weaker_model_has_to_be_one_that_denoises(run):
    with pytest.raises(limner.UserError, match="cannot denoise; models that can: .*flow"):
        run.sample(4, weaker=run)


def test_the_training_grid_is_repeated_by_sampling(run):
    newest = sorted((run.path / "samples").glob("*.png"))[-1]
    grid = run.sample(60, seed=run.config.train.seed, label="all").grid()
    assert (np.asarray(grid) == np.asarray(Image.open(newest))).all()


@pytest.mark.parametrize(("model", "chosen"), [("flow", "bfloat16"), ("dcgan", "float32")])
def test_what_takes_many_passes_is_sampled_as_it_was_trained(model, chosen, tmp_path, monkeypatch):
    """Rounding shows in the one pass of an adversarial model, and not in many that each add a little."""
    rough = {**SHORT, "model": model, "steps": 3, "precision": "bfloat16"}
    made = limner.train("digits", out=tmp_path / "run", **rough)
    assert made.sampler().request.precision == chosen
    assert made.sampler(precision="float32").request.precision == "float32"
    assert made.sample(1).about["precision"] == chosen
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    assert made.sampler().request.precision == "float32", "another machine may be slow at it"


def test_evaluation_is_kept_with_the_run(run):
    told: list[str] = []
    first = run.evaluate(progress=lambda what, share: told.append(what))
    assert first.n == 120 and first["fd"].low < first["fd"].value < first["fd"].high
    assert any("making" in what for what in told)
    (kept,) = (run.path / "evals").glob("*.json")
    assert json.loads(kept.read_text())["fd"]["value"] == first["fd"].value
    assert first.protocol in (run.path / "README.md").read_text()
    made = next((run.path / "evals").glob("*.npz"))
    before = made.stat().st_mtime_ns
    told.clear()
    assert run.evaluate(progress=lambda what, share: told.append(what)).to_dict() == first.to_dict()
    assert made.stat().st_mtime_ns == before and not any("making" in what for what in told)
    run.evaluate(temperature=0.5)
    assert len(list((run.path / "evals").glob("*.npz"))) == 2, "other pictures are other samples"


def test_a_run_is_asked(run, monkeypatch):
    monkeypatch.setattr("limner.evaluation.judge.SHOWN", 6_000)
    monkeypatch.setattr("limner.evaluation.judge.BATCH", 32)
    result = run.evaluate(asked=True)
    (group,) = result.asked.groups
    assert group.n == 120 and [one.name for one in group.attributes] == ["label"]
    assert group.together.judge > 0.85 and group.together.share < 0.5, "after thirty steps labels mean little"
    assert "the asked label is found in" in result.text() and "held-out real ones show" in result.text()
    kept = next(path for path in (run.path / "evals").glob("*.json") if json.loads(path.read_text())["asked"])
    assert json.loads(kept.read_text())["asked"]["groups"][0]["n"] == 120
    assert "the asked label is found in" in (run.path / "README.md").read_text()
    assert type(result).of(result.to_dict()).asked == result.asked
    assert run.evaluate().asked is None
    assert json.loads(kept.read_text())["asked"]["groups"][0]["n"] == 120, "what was found out is forgotten"
    with pytest.raises(limner.UserError, match="leave the label away"):
        run.evaluate(asked=True, label="3")
    with pytest.raises(limner.UserError, match="only a run can be asked"):
        limner.evaluate(run.sample(20), "digits", asked=True)


def test_pictures_of_other_tools_are_measured(run, tmp_path):
    pictures = run.sample(150)
    files = [pictures.save(tmp_path / "folder"), pictures.save_npz(tmp_path / "set.npz"), pictures, pictures.numpy()]
    values = [limner.evaluate(each, "digits")["fd"].value for each in files]
    assert values == pytest.approx([values[0]] * 4, rel=1e-6)
    with pytest.raises(limner.UserError, match="--data"):
        limner.evaluate(tmp_path / "folder")
    with pytest.raises(limner.UserError, match="label: only a run's pictures"):
        limner.evaluate(tmp_path / "folder", "digits", label="3")
    with pytest.raises(limner.UserError, match="no such file"):
        limner.evaluate(tmp_path / "none.npz", "digits")


def test_same_seed_same_weights(run, tmp_path):
    again = limner.train("digits", out=tmp_path / "again", **SHORT)
    other = limner.train("digits", out=tmp_path / "other", seed=1, **SHORT)
    weights = [load_file(each.path / "model.safetensors") for each in (run, again, other)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert any((weights[0][name] != weights[2][name]).any() for name in weights[0])


def test_a_finished_run_says_so(run):
    said: list[str] = []
    again = limner.train("digits", out=run.path, resume=True, say=said.append, **SHORT)
    assert again.path == run.path and "is finished" in said[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 31},
        {"seed": 9},
        {"batch": 7},
        {"model": "flow"},
        {"data": "shapes"},
        {"classes": "1,2"},
        {"width": 32},
    ],
    ids=str,
)
def test_resuming_with_other_options_is_refused(run, changed):
    before = (run.path / "config.json").read_bytes()
    arguments = {"data": "digits", **SHORT, **changed}
    with pytest.raises(
        limner.UserError, match=f"--resume goes on as the run was begun, not with .*{next(iter(changed))}"
    ):
        limner.train(arguments.pop("data"), out=run.path, resume=True, **arguments)
    assert (run.path / "config.json").read_bytes() == before


def test_a_folder_in_use_is_refused(run):
    with pytest.raises(limner.UserError, match="not empty"):
        limner.train("digits", out=run.path, **SHORT)


def test_an_interrupted_run_is_kept_and_goes_on(run, tmp_path, monkeypatch):
    """What a notebook's stop button does: the run so far comes back, and resuming ends at the same weights."""
    take = Trainer._take

    def take_and_stop(self, progress):
        if self.step == 11:
            os.kill(os.getpid(), signal.SIGINT)
        return take(self, progress)

    monkeypatch.setattr(Trainer, "_take", take_and_stop)
    part = limner.train("digits", out=tmp_path / "part", **SHORT)
    assert part.status["state"] == "interrupted" and part.status["step"] == 12
    assert len(part.sample(2)) == 2
    monkeypatch.undo()
    whole = limner.train(out=tmp_path / "part", resume=True, quiet=True, keep=1)  # which changes nothing in the result
    assert whole.status["state"] == "finished" and whole.status["step"] == 30
    assert len(list((tmp_path / "part" / "checkpoints").glob("step-*"))) == 1
    ours, theirs = (load_file(each.path / "model.safetensors") for each in (run, whole))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_a_run_can_be_extended(tmp_path):
    limner.train("digits", out=tmp_path / "a", **SHORT)
    longer = limner.train(out=tmp_path / "a", extend="12steps", quiet=True)
    assert longer.status["step"] == 42 and longer.status["state"] == "finished"
    with pytest.raises(limner.UserError, match="impossible --extend"):
        limner.train(out=tmp_path / "a", extend="-3steps")
    with pytest.raises(limner.UserError, match="nothing to extend"):
        limner.train(out=tmp_path / "nowhere", extend="1m")


def test_starting_from_another_run(run, tmp_path):
    said: list[str] = []
    warm = limner.train("digits", out=tmp_path / "warm", init=run.path, say=said.append, **{**SHORT, "steps": 1})
    assert "5 of 5 tensors" in " ".join(said)
    assert warm.config.init == {"run": "tiny", "weights": run.sample(1).about["weights"]}
    theirs, ours = (load_file(each.path / "model.safetensors") for each in (run, warm))
    assert max(abs(theirs[name] - ours[name]).max() for name in ours) < 0.1, "one step away from where it began"
    with pytest.raises(limner.UserError, match="none of its weights fits"):
        limner.train("digits", out=tmp_path / "b", init=run.path, width=32, latent=4, size=9, **SHORT)
    assert not (tmp_path / "b").exists()


def test_a_config_can_be_given(run, tmp_path):
    (tmp_path / "part.json").write_text(json.dumps({"model": {"width": 24}, "train": {"batch": 5}}))
    part = limner.train("digits", out=tmp_path / "a", config=tmp_path / "part.json", **SHORT)
    assert part.config.model.width == 24 and part.config.train.batch == 5
    whole = limner.train("digits", out=tmp_path / "b", config=run.path / "config.json", quiet=True)
    ours, theirs = (load_file(each.path / "model.safetensors") for each in (run, whole))
    assert all((ours[name] == theirs[name]).all() for name in ours), "a saved config repeats its run"
    (tmp_path / "wrong.json").write_text(json.dumps({"model": {"widht": 24}}))
    with pytest.raises(limner.UserError, match="did you mean 'width'"):
        limner.train("digits", out=tmp_path / "c", config=tmp_path / "wrong.json", **SHORT)
    with pytest.raises(limner.UserError, match="'tiny', --model says 'flow'"):
        limner.train("digits", model="flow", steps=1, config=run.path / "config.json")


def test_labels_can_be_left_out(tmp_path):
    bare = limner.train("digits", out=tmp_path / "a", labels="none", **SHORT)
    assert bare.config.spec.attributes == ()


def test_what_it_would_cost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in SHORT.items() if key != "quiet"}
    cost = limner.estimate("digits", **settings)
    assert cost["parameters"] == 2 * 11 + 2 * 128 + 128 + 128 * 64 + 64
    assert cost["steps"] == 30 and cost["seconds"] > 0 and cost["disk_bytes"] > 4 * cost["parameters"]
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_default_folders_count_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [limner.train("digits", **{**SHORT, "steps": 2}).path for _ in range(2)]
    assert [str(name) for name in names] == ["runs/tiny-0001", "runs/tiny-0002"]
    assert limner.open("latest").name == "tiny-0002" and limner.open("tiny-0001").name == "tiny-0001"
    with pytest.raises(limner.UserError, match="did you mean 'tiny-0001'"):
        limner.open("tiny-001")


def test_runs_are_listed_damaged_ones_too(run, tmp_path):
    for name, config in {"broken": "{", "strange": "[]", "half": '{"recipe": "flow"}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "metrics.jsonl").write_text("{}")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("a comparison, which is no run")
    (tmp_path / "good").symlink_to(run.path)
    found = {row["name"]: row for row in limner.list_runs(tmp_path)}
    assert set(found) == {"broken", "strange", "half", "torn", "good"}
    assert found["good"]["recipe"] == "tiny" and found["good"]["state"] == "finished" and found["good"]["fault"] is None
    assert found["good"]["size"] == "8x8x1" and found["good"]["step"] == 30 and found["good"]["bytes"] > 10_000
    assert all(found[name]["fault"] for name in ("broken", "strange", "half", "torn"))
    assert limner.list_runs(tmp_path / "nowhere") == []


def test_models():
    found = {row["name"]: row for row in limner.models()}
    assert {"flow", "dcgan", "vae"} <= set(found) and found["flow"]["default"]
    assert "encode" in found["vae"]["abilities"] and "labels" in found["flow"]["abilities"]
    assert "steps" in found["flow"]["sampling"]
    assert found["flow"]["group"] is None
    grouped = {name for name, row in found.items() if row["group"] == "baselines"}
    assert grouped == set(GROUPS["baselines"]) == {"mean", "gaussian", "ppca", "gmm", "kde", "ae", "dae"}
    described = limner.describe("vae", (16, 24), channels=1, classes=3)
    assert described["config"]["spec"]["height"] == 16 and len(described["config"]["spec"]["attributes"]) == 1
    json.dumps(described)
    assert limner.describe(TINY)["config"]["model"]["width"] == 128


def test_code_of_ones_own_runs_only_where_its_user_ran_it(run, tmp_path, monkeypatch):
    """A run with its own code opens after the file has gone, and on a machine that never saw the file it says so."""
    assert (run.path / "tiny.py").read_bytes() == Path(TINY.partition(":")[0]).read_bytes()
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    with pytest.raises(limner.UserError, match="read the copy in its folder"):
        RunFolder(run.path).model()
    own.load(run.path / "tiny.py")
    assert RunFolder(run.path).model().spec.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("recipe = 3", "recipe", "is a int, not a limner.api.Recipe"),
        ("x = 1", "recipe", "has no 'recipe'"),
        ("raise RuntimeError('no')", "recipe", "cannot be run: RuntimeError: no"),
        ("def", "recipe", "cannot be run: SyntaxError"),
        (
            "from limner.api import Recipe\nrecipe = Recipe('a', 'Missing', '', '', None)",
            "recipe",
            "family 'Missing' is neither",
        ),
    ],
)
def test_wrong_code_of_ones_own(tmp_path, text, name, said):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(limner.UserError, match=said):
        limner.describe(f"{tmp_path / 'mine.py'}:{name}")
    with pytest.raises(limner.UserError, match="say which recipe"):
        limner.describe(str(tmp_path / "mine.py"))


def test_a_first_picture_waits_for_nothing_else(run):
    """Neither a data library nor a plotting one is imported on the way from a saved run to a picture."""
    code = f"""
import time
began = time.perf_counter()
import torch
ready = time.perf_counter()
import sys, limner
limner.open({str(run.path)!r}).sample(1)._repr_png_()
done = time.perf_counter()
heavy = {{"scipy", "sklearn", "skimage", "pyarrow", "tensorboard"}}
print((done - ready) / (ready - began), *(heavy & set(sys.modules)))
"""
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert answers[0][1:] == []
    # Importing torch takes a second on a quiet machine; as a ratio the figure holds on a busy one too.
    assert min(float(answer[0]) for answer in answers) < 0.7


def test_a_key_of_the_config_is_one_whatever_else_its_name_means():
    wish = Wish.of(None, 5, None, {"depth": 16}, {"depth": "2"})
    assert wish.data == {"depth": 16} and wish.others == {"depth": "2"}
    with pytest.raises(limner.UserError, match="write it as --steps"):
        Wish.of(None, None, None, {}, {"steps": "2"})
