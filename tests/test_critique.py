"""`limn critique`: what a run's discriminator thinks of picture files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner import verbs
from limner.cli import limn
from limner.cli.frame import run as call
from limner.data import to_float

QUICK = {
    "steps": 8,
    "threads": 1,
    "quiet": True,
    "precision": "float32",
    "layout": "contiguous",
    "batch": 16,
    "scores": 0,
    "architecture": "mlp",
    "width": 4,
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run with a discriminator that knows labels, and a folder of pictures."""
    place = tmp_path_factory.mktemp("critique")
    run = limner.train("digits", model="dcgan", out=place / "run", **QUICK)
    pixels = np.random.default_rng(0).integers(0, 256, (5, *run.config.spec.shape[1:]), dtype=np.uint8)
    (place / "pictures").mkdir()
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(place / "pictures" / f"{number}.png")
    (place / "pictures" / ".hidden").write_text("left behind")
    return run, place, pixels


def test_scores_are_those_of_the_discriminator(judged):
    run, place, pixels = judged
    found = verbs.critique(run, [place / "pictures"])
    assert [name.rpartition("/")[2] for name in found.files] == [f"{k}.png" for k in range(5)]
    with torch.no_grad():
        wanted = run.folder.model().critique(to_float(pixels[..., None]))
    np.testing.assert_allclose(found.scores, wanted.numpy(), rtol=1e-5)
    assert len(set(found.scores)) == 5
    alone = verbs.critique(run, [place / "pictures" / "3.png"])
    assert alone.scores[0] == pytest.approx(found.scores[3], rel=1e-5)


def test_other_sizes_colours_and_labels(judged):
    run, place, pixels = judged
    large = Image.fromarray(pixels[0]).convert("RGB").resize((40, 40), Image.Resampling.NEAREST)
    large.save(place / "large.png")
    assert len(verbs.critique(run, [place / "large.png"], crop="stretch").scores) == 1
    as_said = [verbs.critique(run, [place / "pictures"], label=label).scores for label in ("3", 3, "7", None)]
    assert as_said[0] == as_said[1] != as_said[2]
    in_turn = verbs.critique(run, [place / "pictures"], label=["3", "7"]).scores
    assert in_turn[0] == pytest.approx(as_said[0][0]) and in_turn[1] == pytest.approx(as_said[2][1])


def test_a_picture_without_a_label_is_judged_beside_those_that_training_saw(judged):
    run, place, _ = judged
    rows = [verbs.critique(run, [place / "pictures"], label=label).scores for label in range(10)]
    found = verbs.critique(run, [place / "pictures"]).scores
    assert (np.min(rows, 0) < found).all() and (found < np.max(rows, 0)).all()


def test_the_table_has_the_best_first_and_json_has_all(judged, capsys):
    run, place, _ = judged
    scores = verbs.critique(run, [place / "pictures"]).scores
    assert call(limn, ["critique", str(run.path), str(place / "pictures")]) == 0
    lines = capsys.readouterr().out.splitlines()
    order = [line.split()[1].rpartition("/")[2] for line in lines[1:6]]
    assert order == [f"{k}.png" for k in np.argsort(scores)[::-1]]
    assert call(limn, ["critique", str(run.path), str(place / "pictures"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["score"] for one in said["pictures"]] == pytest.approx(scores)
    assert said["mean"] == pytest.approx(np.mean(scores))


@pytest.mark.parametrize(
    ("files", "said"),
    [(["nowhere.png"], "no file at"), (["empty"], "has no files"), (["words.png"], "cannot be read as a picture")],
)
def test_what_is_no_picture_is_named(judged, tmp_path, files, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(limner.UserError, match=said) as refusal:
        verbs.critique(judged[0], [tmp_path / name for name in files])
    assert "\n" not in str(refusal.value)


def test_a_run_without_a_discriminator_is_refused_and_those_that_can_are_named(judged, tmp_path):
    _, place, _ = judged
    blind = limner.train("digits", model="mean", out=tmp_path / "mean", quiet=True, threads=1)
    with pytest.raises(limner.UserError, match="Mean cannot critique; models that can: .*dcgan.*wgan-gp"):
        verbs.critique(blind, [place / "pictures"])
