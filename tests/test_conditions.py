"""Asked for by number and by class at once: what was learnt of either is heeded."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner.draws import PictureDraws
from limner.nn.embed import labels_to_paint

SHORT = {"threads": 1, "quiet": True, "precision": "float32", "layout": "contiguous", "scores": 0, "compile": "off"}
SMALL = {"network.widths": [16], "network.blocks": [2], "network.embedding": 32, "label_dropout": 0.1}


@pytest.fixture(scope="module")
def lamps(tmp_path_factory):
    """Noisy grey pictures as bright as a number says, brighter on the left or on the right as a class says."""
    root = tmp_path_factory.mktemp("lamps")
    random = np.random.default_rng(0)
    rows = []
    for i in range(300):
        light, side = float(random.uniform(10, 90)), i % 2
        pixels = 255 * light / 100 + random.normal(0, 8, (8, 8))
        pixels[:, 4 * side : 4 * side + 4] += 25
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / f"{i:03d}.png")
        rows.append({"file_name": f"{i:03d}.png", "light": round(light, 2), "side": ("left", "right")[side]})
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture(scope="module")
def run(lamps, tmp_path_factory):
    how = {**SHORT, **SMALL, "labels": "side,light", "steps": 250, "batch": 32, "optimiser.rate": 4e-3}
    return limner.train(lamps, "flow", out=tmp_path_factory.mktemp("runs") / "lamps", **how)


def test_a_larger_number_is_brighter(run):
    wanted = np.linspace(12, 88, 48)
    asked = [{"light": float(light), "side": ("left", "right")[i % 2]} for i, light in enumerate(wanted)]
    pictures = run.sample(48, label=asked, steps=8).numpy()[..., 0] / 2.55
    found = pictures.mean((1, 2))
    assert np.corrcoef(wanted, found)[0, 1] > 0.9
    assert np.abs(found - wanted - 5).mean() < 15
    sides = pictures[:, :, :4].mean((1, 2)) > pictures[:, :, 4:].mean((1, 2))
    assert (sides == (np.arange(48) % 2 == 0)).mean() > 0.9


def test_an_open_number_is_drawn_as_seen_and_batches_do_not_matter(run):
    asked = [{"light": 25.0}, {"side": "left"}, {"light": 80, "side": "right"}]
    whole = run.sample(9, label=asked, steps=4).numpy().astype(int)
    assert np.abs(whole - run.sample(9, label=asked, steps=4, batch=2).numpy()).max() <= 1
    spread = run.sample(40, steps=8).numpy().mean((1, 2, 3))
    assert spread.std() > 20, "nothing asked: all kinds of light"


def test_what_is_left_open_beside_what_is_asked_is_drawn_as_seen(run):
    _, model = run._model("cpu")
    asked = torch.tensor([[0, -1], [1, -1], [-1, -1]] * 8)
    with torch.no_grad():
        told = labels_to_paint(model.memory, asked, PictureDraws(0, range(24)))
    assert bool((told >= 0).all()) and bool((told[asked >= 0] == asked[asked >= 0]).all())
    seen = {tuple(row) for row in model.memory.known().tolist()}
    assert {tuple(row) for row in told.tolist()} <= seen, "combinations of training, not of chance"
    assert told[::3, 1].unique().numel() > 4, "all kinds of light"
    with pytest.raises(limner.UserError, match="names side twice"):
        run.sample(1, label="side=left,side=right")


def test_pictures_have_codes_and_likelihoods(run, lamps):
    pictures = run.sample(4, label="all", steps=8, precision="float32")
    codes = run.encode(pictures.numpy(), label="all")
    assert codes.shape == (4, 1, 8, 8) and 0.3 < codes.std() < 3
    assert np.abs(run.decode(codes, label="all").numpy().astype(int) - pictures.numpy()).max() <= 1
    assert run.encode([lamps / "000.png"]).shape == (1, 1, 8, 8)
    likely = run.bits_per_dimension([lamps / "000.png", lamps / "001.png"], keys={"score.tolerance": 0.2})
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    assert (likely < run.bits_per_dimension(noise, keys={"score.tolerance": 0.5})).all()
    with pytest.raises(limner.UserError, match=r"give uint8 \(n, 8, 8, 1\)"):
        run.encode(np.zeros((1, 9, 9, 1), np.uint8))
    with pytest.raises(limner.UserError, match="unknown option 'score.mots'"):
        run.bits_per_dimension(noise, keys={"score.mots": 3})


def test_a_run_remembers_its_range(run):
    spec = run.config.spec
    assert [one.name for one in spec.attributes] == ["side", "light"] and spec.classes == ("left", "right")
    low, high = spec.attributes[1].range
    assert 10 <= low < 12 and 88 < high <= 90
    with pytest.raises(limner.UserError, match="light 95 was never seen"):
        run.sample(1, label="light=95")
    assert json.loads((run.path / "config.json").read_text())["data"]["options"]["labels"] == "side,light"


def test_what_needs_classes_refuses_numbers_in_one_line(lamps, tmp_path):
    with pytest.raises(limner.UserError, match="mean knows classes alone, and light is a number"):
        limner.train(lamps, "mean", out=tmp_path / "mean", labels="side,light", **SHORT)
    with pytest.raises(limner.UserError, match="--balance sqrt needs classes"):
        limner.train(lamps, "flow", out=tmp_path / "even", labels="light", balance="sqrt", steps=2, **SHORT)
