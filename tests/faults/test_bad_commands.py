"""Whatever is wrong with a command, the answer is one line and exit code 2, and nothing is lost or left behind."""

import errno
import json
import os
from pathlib import Path

import pytest

from limner import storage
from limner.cli import limn
from limner.cli.frame import run

TINY = f"{Path(__file__).parents[1] / 'tiny.py'}:recipe"
QUICK = ("--steps", "3", "--set", "threads=1", "--precision", "float32", "--set", "layout=contiguous", "--quiet")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with a run, and things that are no run and no pictures."""
    folder = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(limn, ["train", "digits", "--model", TINY, *QUICK]) == 0
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("precious")
    (folder / "text").mkdir()
    (folder / "text" / "no.png").write_text("this is no picture")
    (folder / "half").mkdir()
    (folder / "half" / "config.json").write_text('{"recipe": "flow"')
    (folder / "bad.json").write_text("{")
    (folder / "list.json").write_text("[1]")
    (folder / "typo.json").write_text(json.dumps({"model": {"widht": 3}}))
    (folder / "file").write_text("x")
    (folder / "own.py").write_text("import nothing_of_that_name")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def refused(folder, capsys, words):
    """Runs a wrong command; returns what its one line says."""
    before, folders = contents(folder), {path for path in folder.rglob("*") if path.is_dir()}
    capsys.readouterr()
    code = run(limn, words)
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("limn: error: ") and said.err.endswith("\n")
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    assert contents(folder) == before, "a refused command changes nothing"
    assert {path for path in folder.rglob("*") if path.is_dir()} == folders
    return said.err


WRONG = {
    # verbs, options and values that do not exist
    "trian digits": "unknown verb 'trian' - did you mean 'train'?",
    "evaluate latest": "unknown verb 'evaluate' - did you mean 'eval'?",
    "-x": "No such option",
    "train digits --modle flow": "--model",
    "train digits --model flwo": "unknown model 'flwo' - did you mean 'flow'?",
    "models dcgna": "did you mean 'dcgan'?",
    "train digits --model flow --set rat=3": "unknown option 'rat' - did you mean 'rate'?",
    "train digits --model vae --set latnt=3": "did you mean 'latent'?",
    "train digits --set batch": "write it as key=value",
    "train digits --model flow --steps 3 --set model=3": "unknown option 'model'",
    "train digits --model flow --steps 3 --set quiet=1": "unknown option 'quiet'",
    "train digits --set budget=2m": "write it as --budget",
    "train digits --model flow --set optimiser.name=adamw --set betas=[1,1]": "betas[0] is 1: expected `float` < 1.0",
    "train digits --model dcgan --set generator_optimiser.momentum=0.5": "has no effect: adam has none",
    "train digits --model vae --set optimiser.decay=0 --set shape=cosine": "the rate does not fall, add decay=0.4",
    "train digits --model flow --set time_mean=Infinity": "time_mean is inf: a finite number is needed",
    "train digits --model flow --steps 3 --set time=uniform --set time_mean=1": "leave them out with time=uniform",
    "sample latest --set temperature=nan": "temperature",
    "train digits --model flow --set steps=many": "steps",
    "train digits --tracker wandb": "unknown tracker 'wandb'",
    "train digits --crop middle": "'middle' is not one of",
    "train digits --device tpu --model vae --steps 3": "unknown device 'tpu'",
    "sample latest --solver euler": "unknown option of tiny 'solver' (known: temperature)",
    "sample latest --label eleven": "unknown label 'eleven'",
    "sample latest --label 10": "unknown label '10'",
    "sample latest --set temperature=hot": "temperature",
    "sample latest --set n=3": "--set n=...: write it as --n",
    "eval latest --against test": "'test' is not one of",
    "eval latest --features inceptoin": "inception",
    "completion powershell": "'powershell' is not one of",
    # impossible numbers
    "train digits --steps -4": "-4 is not in the range",
    "train digits --steps 0": "0 is not in the range",
    "train digits --steps many": "'many' is not a valid integer",
    "train digits --budget -10m": "impossible duration '-10m'",
    "train digits --budget 10x": "impossible duration '10x'",
    "train digits --budget 0": "impossible duration '0'",
    "train digits --epochs -1": "-1.0 is not in the range",
    "train digits --batch -3": "'-3' is neither",
    "train digits --seed -1": "-1 is not in the range",
    "train digits --keep 0": "0 is not in the range",
    "train digits --budget 1m --steps 5": "budget and steps contradict each other",
    "train digits --model vae --set rate=-1": "rate",
    "train digits --size 0": "impossible size 0",
    "train digits --size -8": "impossible size '-8'",
    "train digits --size 8x": "impossible size '8x'",
    "train digits --size 99999": "impossible size 99999",
    "sample latest -n 0": "0 is not in the range",
    "sample latest -n -5": "-5 is not in the range",
    "sample latest --chunk -1": "-1 is not in the range",
    "eval latest -n 0": "0 is not in the range",
    "eval latest -n 5": "at least 12",
    # pictures that are none
    "data nowhere": "there is no folder or file 'nowhere'",
    "data digist": "did you mean 'digits'?",
    "data empty": "empty",
    "train empty": "empty",
    "data text": "text",
    "train text --steps 3": "text",
    "train digits --labels colour": "unknown label column 'colour'",
    "train digits --classes x": "x",
    "train digits --classes ,": "impossible list",
    "train digits --split tset": "tset",
    "train": "no data",
    "data": "Missing argument 'DATA'",
    # runs that are none
    "sample nothing": "no run at nothing",
    "sample tiny-001": "did you mean 'tiny-0001'?",
    "sample empty": "empty is not a run folder",
    "sample half": "no model.safetensors",
    "sample file": "file is not a run folder",
    "sample": "Missing argument 'RUN'",
    "eval nothing.npz --data digits": "no such file: nothing.npz",
    "eval bad.json --data digits": "bad.json",
    "eval full": "--data",
    "eval latest --size 16": "paints 8x8 but the real pictures are 16x16",
    "train --resume --out empty": "no data",
    "train --extend 10m --out empty": "nothing to extend",
    "train --resume --steps 5": "--resume goes on as the run was begun, not with steps 5",
    "train --resume --out full": "no data",
    "train digits --resume --out full": "full is not a run folder",
    "train --extend soon": "impossible duration 'soon'",
    "train digits --init nothing": "no run at nothing",
    "train digits --dry-run --resume": "--dry-run",
    # files of one's own
    "train digits --config nothing.json": "no such file or folder: nothing.json",
    "train digits --config bad.json": "not valid JSON",
    "train digits --config list.json": "expected an object",
    "train digits --model vae --config typo.json": "did you mean 'width'?",
    "train digits --model nothing.py:recipe": "cannot read nothing.py",
    "train digits --model own.py:recipe": "own.py cannot be run: ModuleNotFoundError",
    "train digits --model own.py": "say which recipe",
    "check nothing.py": "cannot read nothing.py",
    # places that are taken
    "train digits --out full": "--out full is not empty",
    "train digits --out file": "--out file is a file",
    "train digits --out runs/tiny-0001": "not empty",
    "sample latest --out full": "full is not empty",
    "sample latest --out file": "file is a file",
    "sample latest --grid empty": "empty is a folder",
    "sample latest --npz file/x.npz": "there is a file of that name: file",
    "data digits --out full": "full",
}


@pytest.mark.parametrize("words", WRONG)
def test_one_line(there, capsys, monkeypatch, words):
    monkeypatch.chdir(there)
    assert WRONG[words] in refused(there, capsys, words.split())


def test_names_with_line_breaks_stay_one_line(there, capsys, monkeypatch):
    monkeypatch.chdir(there)
    assert "a b" in refused(there, capsys, ["sample", "a\nb"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize(
    "words", ["train digits --out locked/run", "sample latest --out locked/out", "sample latest --grid locked/g.png"]
)
def test_no_permission(there, capsys, monkeypatch, words):
    monkeypatch.chdir(there)
    (there / "locked").mkdir(exist_ok=True, mode=0o500)
    assert "permission" in refused(there, capsys, words.split())


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")],
)
@pytest.mark.parametrize(
    "words",
    ["sample latest -n 2 --out new", "sample latest -n 2 --grid new.png", "sample latest -n 2 --npz new.npz"],
)
def test_a_disk_that_will_not_take_it(there, capsys, monkeypatch, words, number, said):
    """The system refuses the last step of writing: what was there stays, nothing half written is left."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.chdir(there)
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "replace", refuse)
        code = run(limn, words.split())
    err = capsys.readouterr().err
    assert code == 2 and said in err and err.startswith("limn: error: ")
    assert not [path for path in there.rglob("*") if "partial" in path.name]
    assert not list(there.glob("new*/*.png")) and not list(there.glob("new.*"))


def test_a_full_disk_while_training(there, capsys, monkeypatch):
    """The run so far stays, and going on works once there is room again."""
    monkeypatch.chdir(there)
    write, count = storage.write_file, [0]

    def full(path, content):
        if path.name == "model.safetensors":
            count[0] += 1
            if count[0] == 2:
                with storage.said_plainly(path):
                    raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    words = ["train", "digits", "--model", TINY, "--out", "filled", "--set", "checkpoint_every=1", *QUICK]
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_file", full)
        assert run(limn, words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "the disk is full" in err
    assert run(limn, [*words, "--resume"]) == 0
    assert "finished at step 3" in capsys.readouterr().out
