"""`limn toy`: what it writes, the same every time, and one line for what cannot be."""

import json
import re

import pytest
import torch
from PIL import Image

import limner
from limner.cli import limn
from limner.cli.frame import run
from limner.draws import TurnDraws
from limner.studies.toy import configured, denoising, film_denoising, plan, report, target
from limner.studies.toy.training import fresh

SMALL = {"width": 16}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """As many points and pictures as a test needs."""
    monkeypatch.setattr(report, "POINTS", 400)
    monkeypatch.setattr(report, "LOOKS", (2, 4))
    monkeypatch.setattr(report, "GAME_FRAMES", 4)
    monkeypatch.setattr(report, "RESPONSES", 4)
    monkeypatch.setattr(film_denoising, "FINE", 6)


def frames(path):
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            found.append(film.convert("RGB").tobytes())
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "POINTS", 400)
        patch.setattr(report, "GAME_FRAMES", 4)
        patch.setattr(report, "RESPONSES", 4)
        folder = tmp_path_factory.mktemp("toy")
        found = limner.toy("ring8", out=folder / "a", steps=12, settings={**SMALL, "critic_width": 16})
    return folder, found


def test_a_game_is_written_down(played):
    folder, found = played
    assert found == json.loads((folder / "a" / "report.json").read_text())
    assert {path.name for path in (folder / "a").iterdir()} == set(found["files"])
    assert found["quality"]["of"] == 8 and found["curves"][-1]["step"] == 12 and found["balance"]["rows"] >= 1
    assert [row["step"] for row in found["gaps"]][::5] == [0, 12]
    assert found["frozen"]["optimum"] == pytest.approx(-1.3863 + 2 * found["frozen"]["jsd"], abs=1e-3)
    shown = frames(folder / "a" / "animation.gif")
    assert len(shown) >= 4 and len(set(shown)) == len(shown), "every picture is another one"


def test_its_page_stands_alone(played):
    folder, found = played
    page = (folder / "a" / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import|<script|<link", page), "everything is in the file"
    assert "data:image/gif;base64," in page and "prefers-color-scheme: dark" in page and "width=device-width" in page
    assert all(limner.studies.page.escape(line) in page for line in found["verdict"])
    assert "nan" not in re.sub(r'(src|srcset)="[^"]*"', "", page).lower().split()


def test_the_same_seed_gives_the_same_numbers(played, tmp_path, monkeypatch):
    _, found = played
    settings = {**SMALL, "critic_width": 16}
    again = limner.toy("ring8", out=tmp_path / "b", steps=12, settings=settings)
    other = limner.toy("ring8", out=tmp_path / "c", steps=12, seed=1, settings=settings)
    for name in ("quality", "curves", "gaps", "frozen"):
        assert again[name] == found[name]
        assert other[name] != found[name]


@pytest.mark.parametrize("model", ["flow", "ddpm", "edm"])
def test_every_solver_is_filmed(model, tmp_path):
    data = "gaussian" if model == "flow" else "moons"
    found = limner.toy(data, model, out=tmp_path, steps=8, settings=SMALL)
    assert {row["solver"] for row in found["solvers"]} == set(denoising.KINDS[model].solvers)
    assert all(row["looks"] <= 4 for row in found["solvers"] if row["solver"] != "adaptive")
    assert len(set(frames(tmp_path / "animation.gif"))) >= film_denoising.FINE
    assert found["verdict"] and (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("model", ["flow", "ddpm", "edm"])
def test_with_the_exact_answer_the_solvers_come_to_the_data(model):
    """One point as data: what a perfect network says is known, and all solvers end there."""
    config = configured(target("moons"), model, None, 1, 0)
    made = fresh(plan.MODELS[model], config)
    at = torch.tensor([0.3, -0.5]).view(1, 2, 1, 1)

    def exact(z, ratio):
        r = ratio.view(-1, 1, 1, 1)
        if model == "flow":
            return (z - at) / (r / (1 + r))  # (n - x) = (z - x) / t
        if model == "ddpm":
            return (z - at / (1 + r**2).sqrt()) / (r / (1 + r**2).sqrt())
        known = denoising.preconditioning(ratio)
        noisy = z / known.into.view(-1, 1, 1, 1)
        return (at - known.skip.view(-1, 1, 1, 1) * noisy) / known.out.view(-1, 1, 1, 1)

    made.asked = exact
    for solver in made.solvers:
        draws = TurnDraws((0,), 5)
        *_, last = made.walk(solver, made.prior(draws), made.times(12), draws)
        assert (last - at).abs().max() < 0.02, solver


def test_a_picture_is_as_dense_as_it_is_dark(tmp_path):
    picture = Image.new("L", (40, 20), 255)
    picture.paste(0, (0, 0, 10, 20))
    picture.save(tmp_path / "bar.png")
    drawn = target(str(tmp_path / "bar.png"))
    made = drawn.sample(2000, 0)
    assert made[:, 0].max() < -0.44 and made[:, 0].min() >= -0.9 and made[:, 1].abs().max() <= 0.451
    assert float(drawn.density(torch.tensor([[-0.7, 0.0], [0.5, 0.0]]))[1]) == 0
    found = limner.toy(tmp_path / "bar.png", "edm", out=tmp_path / "out", steps=2, settings=SMALL)
    assert found["data"] == "bar.png"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "ring9"], "unknown points 'ring9' - did you mean 'ring8'?"),
        (["--data", "nowhere/x.png"], "or the path of a picture"),
        (["--model", "gann"], "unknown model 'gann' - did you mean 'gan'?"),
        (["--loss", "hing"], "unknown loss 'hing' - did you mean 'hinge'?"),
        (["--model", "flow", "--loss", "hinge"], "--loss hinge is of the game of two networks"),
        (["--model", "edm", "--show", "collapse"], "--show collapse is of the game"),
        (["--show", "colapse"], "did you mean 'collapse'?"),
        (["--remedy", "prayer"], "unknown remedy 'prayer'"),
        (["--set", "r3=1"], "unknown option 'r3'"),
        (["--model", "flow", "--set", "noise_mean=3"], "unknown option 'noise_mean'"),
        (["--loss", "wasserstein", "--set", "r1=0"], "grows without end where nothing bounds D's slope"),
        (["--set", "gp_centre=0"], "gp_centre=0 belongs to a penalty that is not there"),
        (["--set", "r1=-1"], ">= 0"),
        (["--set", "minibatch=deviation"], "leave it out, or r1, r2 and gp"),
        (["--loss", "hinge", "--set", "smoothing=0.1"], "smoothing needs targets between 0 and 1"),
        (["--show", "collapse", "--remedy", "adam"], "changes nothing here"),
        (["--steps", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_gets_one_line(arguments, said, tmp_path, capsys):
    assert run(limn, ["toy", *arguments, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and said in captured.err and len(captured.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_white_picture_and_a_file_as_folder(tmp_path):
    Image.new("L", (9, 9), 255).save(tmp_path / "white.png")
    with pytest.raises(limner.UserError, match="of one colour"):
        limner.toy(tmp_path / "white.png", out=tmp_path / "out")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(limner.UserError, match="not a picture that can be read"):
        limner.toy(tmp_path / "text.png", out=tmp_path / "out")
    with pytest.raises(limner.UserError, match="is a file"):
        limner.toy(out=tmp_path / "text.png")


def test_remedies_fit_what_they_cure():
    """Only those that are there already are left out."""
    found = {show: set(plan.REMEDIES) - set(plan.remedies(target("ring8"), show)) for show in plan.SHOWS}
    assert found == {"collapse": {"non-saturating", "fewer-turns", "adam"}, "vanishing": {"decay"}}


def test_the_command_line(tmp_path, capsys):
    line = ["toy", "--data", "gaussian", "--loss", "least-squares", "--steps", "3", "--seed", "4", "--json", "--quiet"]
    assert run(limn, [*line, "--set", "width=8", "--set", "critic_width=8", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seed"] == 4 and found["config"]["model"]["loss"] == "least-squares"
    assert found["balance"] is None and found["gaps"] is None and found["frozen"]["loss"] == "least-squares"
    assert found["command"].startswith("limn toy --data gaussian --model gan --loss least-squares --steps 3 --seed 4")
