"""`limn mix` and `limn attention`: what a model paints with, on a sheet."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import limner
from limner.cli import limn
from limner.cli.frame import run as call
from limner.tasks import attention as looking
from limner.tasks.mix import mix

QUICK = {"steps": 4, "threads": 1, "quiet": True, "batch": 8, "scores": 0}


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    """A run with styles and labels."""
    return limner.train("digits", model="stylegan2", out=tmp_path_factory.mktemp("styled") / "run", width=8, **QUICK)


@pytest.fixture(scope="module")
def attentive(tmp_path_factory):
    """A run with attention and labels."""
    return limner.train("digits", model="sagan", out=tmp_path_factory.mktemp("attentive") / "run", width=8, **QUICK)


def model(run):
    return run.folder.model()


@pytest.mark.parametrize("label", [None, "3"])
def test_sources_are_the_pictures_of_these_numbers_and_mixtures_lie_between(styled, label):
    cells = mix(model(styled), [0, 3], [1, 2, 4], seed=7, label=label)
    table = cells.reshape(3, 4, *cells.shape[1:])
    assert (table[0, 0] == 255).all()
    own = styled.sample(5, seed=7, label=label).pixels.astype(int)
    assert np.abs(table[0, 1:] - own[[1, 2, 4]]).max() <= 1
    assert np.abs(table[1:, 0] - own[[0, 3]]).max() <= 1
    for row, coarse in enumerate((0, 3), start=1):
        for column, fine in enumerate((1, 2, 4), start=1):
            mixture = table[row, column].astype(int)
            assert (mixture != own[coarse]).any() and (mixture != own[fine]).any()


def test_a_picture_mixed_with_itself_is_itself(styled):
    cells = mix(model(styled), [2], [2], first=1).astype(int)
    assert np.abs(cells[3] - cells[2]).max() <= 1


def test_what_cannot_be_mixed_is_said(styled, attentive):
    layers = 1 + model(styled).painter.count
    for first in (0, layers):
        with pytest.raises(limner.UserError, match=f"this model has {layers - 1}"):
            mix(model(styled), [0], [1], first=first)
    with pytest.raises(limner.UserError, match="at least one picture"):
        mix(model(styled), [], [1])
    with pytest.raises(limner.UserError, match="cannot exchange styles; models that can: .*stylegan2"):
        limner.mix(attentive, "never.png")


def test_each_place_shares_its_attention_out(attentive):
    pixels, seen = looking.attention(model(attentive), [0, 2], seed=3)
    np.testing.assert_array_equal(pixels, attentive.sample(3, seed=3).pixels[[0, 2]])
    assert set(seen) == {"generator", "discriminator"}
    for weights in seen.values():
        n, height, width, down, across = weights.shape
        assert n == 2 and (down, across) == (-(-height // 2), -(-width // 2))
        np.testing.assert_allclose(weights.sum((3, 4)), 1, rtol=1e-5)


def test_what_is_looked_at_is_light():
    """A place that looks at one corner alone leaves the others dark."""
    picture = np.full((1, 8, 8, 1), 200, np.uint8)
    weights = np.zeros((1, 4, 4, 2, 2), np.float32)
    weights[..., 1, 0] = 1.0
    cells, columns = looking.drawn(picture, {"layer": weights})
    assert cells.shape == (6, 96, 96, 3) and columns == 6
    assert cells[1, -4, 4].min() > 90 and cells[1, 4, 4].max() <= 50 and cells[1, -4, -4].max() <= 50
    assert (cells[0, 4, 4] == 200).all()


@pytest.mark.parametrize(("verb", "run"), [("mix", "styled"), ("attention", "attentive")])
def test_the_sheet_says_how_it_was_made(verb, run, request, tmp_path, capsys):
    run = request.getfixturevalue(run)
    out = tmp_path / "sheet.png"
    assert call(limn, [verb, str(run.path), "--out", str(out), "--label", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sheet"] == str(out) and said["label"] == "3"
    with Image.open(out) as sheet:
        assert json.loads(sheet.text["limner"])["run"] == run.name and np.asarray(sheet).std() > 0


def test_a_training_is_filmed_at_one_size(tmp_path):
    """Pictures grow in the course of this training; every frame is as large as the last sheet."""
    grows = {**QUICK, "steps": 8, "train.grid_every": 2, "width": 8, "size": 16}
    run = limner.train("shapes:64", model="progan", out=tmp_path / "run", **grows)
    found = limner.film(run)
    assert found["sheets"] == 4
    with Image.open(found["film"]) as frames, Image.open(sorted(run.folder.samples.glob("*.png"))[-1]) as last:
        assert frames.n_frames == 4 and frames.size == (last.width, last.height + 24)
        frames.seek(3)
        shown = np.asarray(frames.convert("RGB"))[24:].astype(int)
        assert np.abs(shown - np.asarray(last.convert("RGB"))).mean() < 12  # of 255 colours in all
    assert call(limn, ["film", str(run.path), "--out", str(tmp_path / "film.avi")]) == 2


def test_one_sheet_is_no_film(styled):
    with pytest.raises(limner.UserError, match="1 sheet"):
        limner.film(styled)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mix", "--coarse", "5-2"], "write them like 0-3,9"),
        (["mix", "--fine", "a,b"], "write them like 0-3,9"),
        (["mix", "--out", "."], "is a folder"),
        (["mix", "--set", "steps=3"], "steps"),
        (["attention"], "cannot attend; models that can: .*sagan"),
    ],
)
def test_bad_words_are_one_line(styled, words, said, capsys):

    verb, *more = words
    assert call(limn, [verb, str(styled.path), *more]) == 2
    error = capsys.readouterr().err.strip()
    assert re.search(said, error) and "\n" not in error
