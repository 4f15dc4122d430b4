"""The command line: what it prints where, its exit codes, and that it waits for nothing that it does not need."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import check, verbs
from limner.cli import limn
from limner.cli.frame import run

TINY = f"{Path(__file__).parent / 'tiny.py'}:recipe"
QUICK = ("--steps", "30", "--set", "threads=1", "--precision", "float32", "--set", "layout=contiguous")


@pytest.fixture
def call(capsys):
    """Runs a command line in this process; gives exit code, standard output, standard error."""

    def command(*words):
        capsys.readouterr()
        code = run(limn, [str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with runs/tiny-0001 in it."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(limn, ["--quiet", "train", "digits", "--model", TINY, *QUICK]) == 0
    return folder


@pytest.fixture
def inside(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def python(*words, **more):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, **more)


def test_help_is_quick():
    """0.3 s; counted in processor time, so that a busy machine does not decide."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = python("-m", "limner", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert answer.returncode == 0 and answer.stderr == ""
        assert all(verb in answer.stdout for verb in ("data", "train", "sample", "eval", "models", "doctor", "runs"))
    assert min(spent) < 0.3


@pytest.mark.parametrize("verb", limn.list_commands(None))
def test_every_verb_has_help_and_the_common_options(call, verb):
    code, out, err = call(verb, "--help")
    assert code == 0 and err == ""
    assert all(option in out for option in ("--json", "--quiet", "--debug"))
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_verb_there_is_help(call):
    assert call() == call("--help")


def test_version(call):
    assert call("version") == (0, f"limner {verbs.version()}\n", "")
    assert json.loads(call("version", "--json")[1]) == {"limner": verbs.version()}


def test_results_and_progress_go_their_own_ways(call):
    code, out, _ = call("data", "digits")
    assert code == 0 and out.startswith("digits: 1,797 pictures")
    for words in (("--json", "data", "digits"), ("data", "digits", "--json", "--quiet")):
        code, out, err = call(*words)
        found = json.loads(out)
        assert {"layout", "pictures", "classes", "captions", "set_aside"} <= set(found) and found["pictures"] == 1797
    assert err == ""


def test_data_is_packed_where_asked(call, tmp_path):
    code, out, _ = call("data", "digits", "--size", "12x16", "--out", tmp_path / "pack", "--json", "--quiet")
    assert code == 0 and json.loads(out)["shape"][-2:] == [12, 16], "height x width"
    assert json.loads(call("data", tmp_path / "pack", "--json")[1])["pictures"] == 1797


def test_training_prints_the_result(call, tmp_path):
    out = tmp_path / "a"
    code, printed, said = call("train", "digits", "--model", TINY, *QUICK, "--out", out)
    assert code == 0 and printed.startswith(f"{out}: finished at step 30")
    assert "step 30" in said and "tiny on 8x8x1" in said
    code, printed, said = call("train", "digits", "--out", out, "--resume", "--json")
    assert code == 0 and json.loads(printed)["state"] == "finished" and "is finished" in said
    code, printed, said = call("train", "--extend", "5steps", "--out", out, "--json", "--quiet")
    assert code == 0 and json.loads(printed)["step"] == 35 and said == ""


def test_the_recommended_recipe_is_named_with_its_reason(call, tmp_path):
    small = ("--set", "widths=[8, 16]", "--set", "layout=contiguous", "--precision", "float32")
    code, out, said = call("train", "digits", "--dry-run", *small)
    assert code == 0 and "flow" in out and "parameters" in out
    assert said.splitlines()[0].startswith("model flow: ")
    assert "budget 10m00s" in said


def test_sampling_writes_what_is_asked_for(call, inside):
    code, out, _ = call(
        "sample", "latest", "-n", 12, "--seed", 5, "--label", "all", "--out", "d", "--grid", "g.png", "--npz", "x.npz"
    )
    assert code == 0 and out.split() == ["d", "g.png", "x.npz"]
    with np.load("x.npz") as found:
        assert found["x"].shape == (12, 8, 8) and found["y"].tolist() == [*range(10), 0, 1]
        assert (np.asarray(Image.open("d/000007.png")) == found["x"][7]).all()
    code, out, err = call("sample", "tiny-0001", "-n", 14, "--seed", 5, "--label", "all", "--out", "d", "--json")
    assert code == 0 and json.loads(out)["painted"] == 2 and "12 of 14 pictures were there already" in err
    assert json.loads(out)["options"] == {"temperature": 1.0}


def test_sampling_without_a_place_goes_into_the_run(call, inside):
    code, out, _ = call("sample", "runs/tiny-0001", "-n", 3, "--set", "temperature=0.5")
    folder, sheet = map(Path, out.split())
    assert code == 0 and folder.parent == Path("runs/tiny-0001/generated")
    assert len(list(folder.glob("*.png"))) == 3 and sheet.is_file()


def test_the_training_grid_is_repeated(call, inside):
    newest = sorted(Path("runs/tiny-0001/samples").glob("*.png"))[-1]
    call("sample", "latest", "-n", 60, "--seed", 0, "--label", "all", "--grid", "again.png")
    assert (np.asarray(Image.open("again.png")) == np.asarray(Image.open(newest))).all()


def test_eval(call, inside):
    code, out, _ = call("eval", "latest", "--json", "-n", 60)
    found = json.loads(out)
    assert code == 0 and found["n"] == 60 and found["protocol"].startswith("default-held-out-n60")
    assert {"value", "low", "high", "floor"} == set(found["fd"]) and found["fd"]["value"] > found["fd"]["floor"]
    code, out, err = call("eval", "latest", "-n", 60, "--quiet")
    assert code == 0 and "Fréchet distance" in out and found["protocol"] in out and err == ""


def test_runs(call, inside):
    Path("runs/wreck").mkdir()
    Path("runs/wreck/metrics.jsonl").touch()
    Path("runs/comparison/rows").mkdir(parents=True)
    code, out, _ = call("runs")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("tiny-0001"))
    assert "8x8x1" in row and "finished" in row and "digits" in row
    assert "wreck" in out and "it has no config.json" in out
    assert {entry["name"] for entry in json.loads(call("runs", "--json")[1])} == {"tiny-0001", "wreck"}
    shutil.rmtree("runs/wreck")
    shutil.rmtree("runs/comparison")


def test_no_runs_yet(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("runs")
    assert code == 0 and "no runs in runs/ yet" in out
    assert call("runs", "--json")[1].strip() == "[]"


def test_models(call):
    code, out, _ = call("models")
    assert code == 0 and "flow  (the default)" in out and "abilities" in out and "Lipman" in out
    code, out, _ = call("models", "vae", "--size", "16x24", "--channels", "1", "--classes", "3", "--json")
    assert code == 0 and json.loads(out)["config"]["spec"]["width"] == 24
    code, out, _ = call("models", "flow")
    assert code == 0 and "model.optimiser.rate = " in out and "train.batch = " in out


def test_a_config_can_come_from_models(call, tmp_path):
    (tmp_path / "tiny.json").write_text(call("models", TINY, "--json", "--quiet")[1])
    words = ("train", "digits", "--config", tmp_path / "tiny.json", *QUICK, "--out", tmp_path / "run", "--quiet")
    assert call(*words)[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"] == "tiny"


def test_check(call, tmp_path, monkeypatch):
    """What the promises are worth is tested with them; here, how they are told."""
    some = {name: check.PROMISES[name] for name in ("builds", "round_trip")}
    monkeypatch.setattr(check, "PROMISES", some)
    code, out, _ = call("check", TINY)
    assert code == 0 and "FAIL" not in out and "2 of 2 promises kept" in out
    text = Path(TINY.partition(":")[0]).read_text()
    (tmp_path / "wrong.py").write_text(text.replace("yield self(", "yield 3 * self("))
    code, out, _ = call("check", tmp_path / "wrong.py", "--json", "--quiet")
    broken = [entry for entry in json.loads(out) if not entry["ok"]]
    assert code == 2 and len(broken) == 1 and "beyond [-1, 1]" in broken[0]["why"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(call, shell):
    code, out, _ = call("completion", shell)
    assert code == 0 and "_LIMN_COMPLETE" in out


def test_the_shell_is_offered_verbs_and_runs(inside):
    def offered(words):
        more = {
            **os.environ,
            "_LIMN_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        code = "from limner.cli import limn; limn.main(prog_name='limn')"
        return {line.partition(",")[2] for line in python("-c", code, env=more, cwd=inside).stdout.splitlines()}

    assert offered("limn sa") == {"sample"}
    assert offered("limn sample ") == {"latest", "tiny-0001"}
    assert offered("limn train --model fl") == {"flow"}


def test_a_closed_pipe_is_no_error(inside):
    answer = subprocess.run(
        f"{sys.executable} -m limner models | head -1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert answer.stdout.startswith("flow") and answer.stderr == ""


@pytest.mark.parametrize("debug", [False, True])
def test_an_interrupt_is_one_line(call, monkeypatch, debug):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "scan", interrupt)
    code, out, err = call("data", "digits", *(["--debug"] if debug else []))
    assert code == 130 and out == ""
    assert err.strip().splitlines()[-1] == "limn: interrupted"
    assert ("Traceback" in err) == debug and (debug or err.count("\n") == 1)


def test_a_real_interrupt(inside):
    """Ctrl-C while a verb works, from outside."""
    code = (
        "import time; from limner import verbs; verbs.scan = lambda *a, **k: (print('on', flush=True), time.sleep(60))"
    )
    # Tests that a shell runs in the background inherit that interrupts are ignored.
    code += "; import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; from limner.cli import main; import sys; sys.argv = ['limn', 'data', 'digits']; main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "on\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err.strip() == "limn: interrupted"


def test_a_fault_of_limner_is_one_line_too(call, monkeypatch):
    def fail(*_, **__):
        raise TypeError("two\nlines")

    monkeypatch.setattr(verbs, "scan", fail)
    code, out, err = call("data", "digits")
    assert code == 1 and out == ""
    assert err == "limn: error: TypeError: two lines - this is a fault of Limner's; --debug shows where\n"
    assert "Traceback" in call("--debug", "data", "digits")[2]
