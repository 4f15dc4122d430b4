"""Samples against a pack: numbers beside their floor, a protocol that is kept, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from spoiling import blurred, noisy

from limner.errors import UserError
from limner.evaluation import Scorer, compare, evaluate, load, require_same_protocol
from limner.evaluation.meanings import MEANINGS
from limner.evaluation.measure import choose_real
from limner.evaluation.reference import features_of, shuffled

NAMES = list(MEANINGS)


@pytest.fixture(scope="module")
def fresh(digits):
    """Real pictures that are in no part compared with, first those not trained on: as good as samples can be."""
    return digits.read(np.concatenate([digits.validation, digits.train[-200:]]))


@pytest.fixture(scope="module")
def result(digits, fresh):
    return evaluate(fresh, digits)


def test_real_pictures_score_the_floor(result):
    for name in ("fd", "precision", "recall", "density", "coverage", "is"):
        measure = result[name]
        assert measure.value == pytest.approx(measure.floor, rel=0.3), name
        assert measure.low <= measure.value <= measure.high
        assert (measure.low + measure.high) / 2 == pytest.approx(measure.value)
    assert result["kid"].low < result["kid"].floor < result["kid"].high


def test_spoilt_pictures_score_worse_than_their_floor(digits, fresh, result):
    bad = evaluate(blurred(fresh, 1), digits)
    assert bad["fd"].low > 3 * bad["fd"].floor
    assert bad["kid"].low > bad["kid"].floor
    assert bad["precision"].high < bad["precision"].floor
    assert compare([bad, result]) == [1, 0]
    assert compare([bad, result], by="coverage") == [1, 0]


def test_the_result_as_plain_values(result):
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert list(found)[:3] == ["protocol", "protocol_detail", "n"]
    for name in NAMES:
        assert {"value", "low", "high", "floor"} <= set(found[name])
    assert found["n"] == found["protocol_detail"]["n"] == result.n
    assert found["protocol_detail"]["features_hash"] == load().hash
    assert found["protocol_detail"]["split"] == "held-out"
    assert found["is"]["classes"] == result.classes == "mnist"
    assert len(found["nearest"]["samples"]) == 8


def test_the_result_as_text(result):
    text = result.text()
    for title, better, meaning in MEANINGS.values():
        assert title in text
        assert f"{better}: {meaning}" in text
    assert result.protocol in text
    assert max(map(len, text.splitlines())) < 170


def test_measuring_again_gives_the_same(digits, fresh, result):
    assert evaluate(fresh, digits).to_dict() == result.to_dict()


def test_fewer_pictures_than_asked_are_said(digits, fresh, result):
    assert result.n == len(digits.held_out) < 2500
    assert any("2,500" in note and str(result.n) in note for note in result.notes)
    few = evaluate(fresh[:40], digits, n=100)
    assert few.n == 40
    assert any("40 samples" in note for note in few.notes)


def test_other_protocols_are_refused(digits, photos, fresh, result):
    others = {
        "n ": evaluate(fresh, digits, n=100),
        "split": evaluate(fresh, digits, against="train", n=result.n),
        "reference": evaluate(fresh, digits, n=100, seed=1),
    }
    for what, other in others.items():
        with pytest.raises(UserError, match=what) as caught:
            require_same_protocol(result, other)
        assert "\n" not in str(caught.value)
        with pytest.raises(UserError):
            compare([result, other])
    with pytest.raises(UserError, match="reference"):
        require_same_protocol(others["n "].to_dict(), others["reference"].to_dict())
    require_same_protocol(result, json.loads(json.dumps(result.to_dict())))


def test_other_weights_are_another_protocol(digits, fresh, result, tmp_path):
    from safetensors.torch import save_file

    from limner.evaluation.features import SHIPPED, safe_open

    with safe_open(SHIPPED, "pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["convolutions.0.bias"] += 0.01
    save_file(tensors, tmp_path / "other.safetensors", about)
    other = evaluate(fresh, digits, features=tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="features_hash"):
        require_same_protocol(result, other)


def test_copies_of_training_pictures_are_found(digits):
    numbers = shuffled(digits.train, 5, "copies")[:60]
    found = evaluate(digits.read(numbers), digits).nearest
    assert found.in_pixels.tolist() == numbers[:8].tolist() or found.pixel_distances.max() == 0
    assert found.pixel_distances.max() == 0
    assert found.feature_distances.max() < 0.01 * found.usual
    assert (found.samples == np.arange(8)).all()


def test_nearest_pictures_are_the_nearest(digits, result, fresh):
    pictures = fresh[result.nearest.samples].astype(float) / 255
    train = digits.read(digits.train).astype(float) / 255
    apart = np.sqrt(((pictures[:, None] - train[None]) ** 2).mean((2, 3, 4)))
    assert result.nearest.in_pixels.tolist() == digits.train[apart.argmin(1)].tolist()
    np.testing.assert_allclose(result.nearest.pixel_distances, apart.min(1), atol=1e-6)


def test_the_sheet_has_samples_over_training_pictures(result, fresh, tmp_path):
    file = result.save_sheet(tmp_path / "new" / "sheet.png")
    image = np.asarray(Image.open(file))
    assert image.shape == result.nearest.sheet.shape
    height = image.shape[0] // 3
    assert not np.array_equal(image[:height], image[height : 2 * height])


@pytest.mark.parametrize("against", ["held-out", "train"])
@pytest.mark.parametrize("n", [20, 150, 700, 2500])
def test_both_sides_of_the_floor_are_real_and_apart(digits, against, n):
    real = choose_real(digits, against, n, 0)
    assert len(real.reference) == len(real.stand_in) <= n
    assert not set(real.reference) & set(real.stand_in)
    part = digits.held_out if against == "held-out" else digits.train
    assert set(real.reference) <= set(part)
    assert not set(digits.validation) & ({*real.reference} | {*real.stand_in} | {*real.pool})
    assert set(real.pool) <= set(digits.train)


def test_samples_from_anywhere_measure_alike(digits, fresh, tmp_path):
    n = len(choose_real(digits, "held-out", 2500, 0).reference)
    pictures = fresh[:n]
    whole = evaluate(pictures, digits).to_dict()
    np.savez(tmp_path / "samples.npz", x=pictures[..., 0], y=np.zeros(n))
    np.save(tmp_path / "samples.npy", pictures)
    for source in (tmp_path / "samples.npz", str(tmp_path / "samples.npy")):
        assert evaluate(source, digits).to_dict() == whole
    blocks = evaluate((pictures[i : i + 50] for i in range(0, n, 50)), digits)
    assert blocks["fd"].value == pytest.approx(whole["fd"]["value"], rel=1e-4)
    assert blocks.protocol == whole["protocol"]


def test_a_folder_of_samples(digits, fresh, tmp_path):
    for i, picture in enumerate(fresh[:60]):
        Image.fromarray(picture[..., 0]).save(tmp_path / f"{i:03}.png")
    folder, array = evaluate(tmp_path, digits), evaluate(fresh[:60], digits)
    assert folder.n == 60
    assert folder["kid"].value == pytest.approx(array["kid"].value, abs=1e-6)


def test_samples_that_repeat_are_all_counted(digits, fresh, tmp_path):
    """What a set to train on would leave out as repetitions is just what samples are judged by."""
    for i in range(60):
        Image.fromarray(fresh[i % 4, :, :, 0]).save(tmp_path / f"{i:03}.png")
    found = evaluate(tmp_path, digits)
    assert found.n == 60
    assert found["recall"].value < 0.3


def test_a_folder_of_another_size_is_refused(digits, photos, tmp_path):
    for side, folder in ((96, tmp_path / "large"), (8, tmp_path / "mixed")):
        folder.mkdir()
        for i in range(20):
            Image.new("L", (side, 8 if i else side + 1), i).save(folder / f"{i}.png")
        with pytest.raises(UserError, match="real pictures 8x8"):
            evaluate(folder, digits)


def test_a_sorted_array_is_sampled_not_cut(digits):
    """Samples are often in order of their class: the first ones of many would be of few classes."""
    order = np.argsort(digits.labels(digits.train), kind="stable")
    found = evaluate(digits.read(digits.train[order]), digits, n=150)
    assert found["recall"].value > 0.8


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((50, 9, 8, 1), np.uint8), "9x8"),
        (np.zeros((50, 8, 8, 1), np.float32), "float32"),
        (np.zeros((5, 8, 8, 1), np.uint8), "only 5 samples"),
        ("no/such/folder", "no/such/folder"),
    ],
)
def test_bad_samples_are_one_clear_line(digits, samples, said):
    with pytest.raises(UserError, match=said) as caught:
        evaluate(samples, digits)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_samples(digits, tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "text.npz").write_text("no numbers")
    for name, said in (("broken.npz", "cannot be read"), ("text.npz", "not a whole .npz"), ("other.npz", "weights")):
        with pytest.raises(UserError, match=said):
            evaluate(tmp_path / name, digits)
    with pytest.raises(UserError, match="held-out or train"):
        evaluate(np.zeros((50, 8, 8, 1), np.uint8), digits, against="test")


def test_features_of_real_pictures_are_kept(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    features, numbers = load(), digits.train[:30]
    first = features_of(digits, numbers, features)
    (file,) = (tmp_path / "features").iterdir()
    with monkeypatch.context() as without:
        without.setattr(digits, "read", None)
        np.testing.assert_array_equal(features_of(digits, numbers, features), first)
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(features_of(digits, numbers, features), first)
    assert np.load(file).shape == first.shape


def test_a_cache_that_cannot_be_written_is_done_without(digits, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "file"))
    assert features_of(digits, digits.train[:3], load()).shape == (3, load().dimension)


def test_progress_is_told(digits, fresh):
    told = []
    evaluate(fresh[:60], digits, progress=lambda what, share: told.append((what, share)))
    assert {what for what, _ in told} >= {"features of samples", "measures", "nearest training pictures"}
    assert all(0 <= share <= 1 for _, share in told)


def test_scorer_orders_and_repeats(digits, fresh):
    scorer = Scorer(digits, digits.held_out, 1000)
    assert scorer.n == len(digits.held_out)
    good, mild, bad = (scorer.score(x) for x in (fresh, noisy(fresh, 60), noisy(fresh, 120)))
    assert good["kid"] < mild["kid"] < bad["kid"]
    assert good["fd"] < mild["fd"] < bad["fd"]
    assert scorer.score(fresh) == good
    assert Scorer(digits, digits.held_out, 1000).protocol == scorer.protocol
    assert Scorer(digits, digits.held_out, 20).protocol != scorer.protocol
    assert abs(scorer.floor(150)["kid"]) < mild["kid"]


def test_scorer_reads_blocks_and_refuses_one_picture(digits, fresh):
    scorer = Scorer(digits, digits.validation, 64)
    blocks = scorer.score(fresh[i : i + 32] for i in range(0, 64, 32))
    assert blocks["fd"] == pytest.approx(scorer.score(fresh[:64])["fd"], rel=1e-4)
    with pytest.raises(UserError, match="at least 2 pictures"):
        scorer.score(fresh[:1])
    with pytest.raises(UserError, match="at least 2 real"):
        Scorer(digits, digits.validation[:1])
