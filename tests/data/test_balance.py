"""Classes come as often as asked, whatever step one begins at; long tails have the factor that was named."""

import json

import numpy as np
import pytest
from made_pictures import folder

from limner.data import Batches, DataOptions, open_pack, pack, scan
from limner.data.balance import Balanced, apportioned, long_tail
from limner.errors import UserError

COUNTS = {"many": 40, "some": 12, "few": 5}


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    root = tmp_path_factory.mktemp("uneven")
    for number, (name, count) in enumerate(COUNTS.items()):
        folder(root / name, count, size=(8, 8), first=100 * number)
    return root


def codes_of(*counts, none=0):
    return np.repeat([*range(len(counts)), -1], [*counts, none])


@pytest.mark.parametrize(("how", "shares"), [("full", (19, 19, 19)), ("sqrt", (30, 15, 12))])
def test_each_round_holds_each_class_as_often_as_asked(how, shares):
    codes = codes_of(41, 10, 6)
    balanced = Balanced(codes, how, key=3)
    for start in (0, 57, 57 * 1000):
        drawn = codes[balanced.order(np.arange(start, start + 57))[0]]
        assert tuple(np.bincount(drawn)) == shares, "sqrt(41) : sqrt(10) : sqrt(6) is 30.4 : 15.0 : 11.6 of 57"


def test_within_a_class_all_pictures_come_equally_often():
    codes = codes_of(41, 10, 6)
    drawn = Balanced(codes, "full", key=1).order(np.arange(57 * 40))[0].reshape(40, 57)
    for rounds in (1, 2, 7, 40):
        counts = np.bincount(drawn[:rounds].ravel(), minlength=57)
        for code in range(3):
            assert np.ptp(counts[codes == code]) <= 1 and counts[codes == code].sum() == 19 * rounds


def test_the_order_is_a_pure_function_of_the_position():
    balanced = Balanced(codes_of(41, 10, 6, none=4), "sqrt", key=9)
    whole = balanced.order(np.arange(1000))
    picked = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(balanced.order(picked), np.stack(whole)[:, picked])
    assert not np.array_equal(Balanced(codes_of(41, 10, 6, none=4), "sqrt", key=8).order(np.arange(1000)), whole)
    index, before = np.stack(whole)[:, : 61 * 16]
    for picture in range(61):
        assert sorted(before[index == picture]) == list(range((index == picture).sum())), "0, 1, 2: how often before"


def test_pictures_without_a_class_keep_their_share():
    codes = codes_of(41, 10, 6, none=13)
    drawn = codes[Balanced(codes, "full", key=0).order(np.arange(70))[0]]
    assert (drawn == -1).sum() == 13 and (drawn == 2).sum() == 19


def test_places_in_a_round_are_random():
    codes = codes_of(30, 10)
    drawn = codes[Balanced(codes, "full", key=5).order(np.arange(40 * 500))[0]].reshape(500, 40)
    assert np.abs(drawn.mean(0) - 0.5).max() < 0.12, "no place prefers a class"


@pytest.mark.parametrize("weights", [[1, 1, 1], [1000, 1, 1, 1], [3.5, 2.5, 1.0], [1e-9, 5, 5]])
def test_apportioning_adds_up_and_forgets_nobody(weights):
    for total in (len(weights), 10, 97):
        parts = apportioned(np.asarray(weights, float), total)
        assert parts.sum() == total and parts.min() >= 1


def test_batches_of_a_pack_are_balanced_and_resume_anywhere(uneven):
    made = pack(uneven)
    batches = Batches(made, made.train, 8, seed=4, balance="full")
    drawn = [batches.at(step) for step in range(120)]
    share = np.bincount(np.concatenate([raw.labels.numpy() for raw in drawn])) / (8 * 120)
    assert np.abs(share - 1 / 3).max() < 0.02
    again = Batches(made, made.train, 8, seed=4, balance="full")
    for step in (77, 3):
        assert np.array_equal(again.at(step).index, drawn[step].index)
        assert np.array_equal(again.at(step).pictures, drawn[step].pictures)
    plain = np.bincount(
        np.concatenate([Batches(made, made.train, 8, seed=4).at(step).labels.numpy() for step in range(60)])
    )
    assert plain[made.classes.index("many")] > 5 * plain[made.classes.index("few")]


@pytest.mark.parametrize("factor", [2, 10, 100])
def test_a_long_tail_has_the_factor_it_says(factor):
    codes = np.random.default_rng(0).permutation(codes_of(900, 1000, 800, 700, 1200))
    names = [f"picture {i}" for i in range(len(codes))]
    stays, cuts = long_tail(codes, names, 5, factor, seed=0)
    kept = np.bincount(codes[stays])
    assert kept[0] == 900 and kept[-1] == round(900 / factor)
    falls = kept[1:] / kept[:-1]
    assert np.abs(falls - factor**-0.25).max() < 0.06, "each class is smaller by the same ratio"
    assert np.array_equal(stays, long_tail(codes, names, 5, factor, seed=0)[0])
    assert not np.array_equal(stays, long_tail(codes, names, 5, factor, seed=1)[0])
    assert (cuts > 0).all() and (cuts <= 1).all()


def test_a_long_tail_takes_from_training_alone_and_is_said(uneven, tmp_path):
    whole, tailed = pack(uneven), pack(uneven, DataOptions(longtail=2.5))
    assert np.array_equal(whole.held_out, tailed.held_out) and np.array_equal(whole.validation, tailed.validation)
    assert set(tailed.train) < set(whole.train) and tailed.id != whole.id
    kept = np.bincount(tailed.labels(tailed.train), minlength=3)
    few = np.bincount(whole.labels(whole.train))[0]
    wanted = [few, round(few / 2.5**0.5), round(few / 2.5)]
    assert kept.tolist() == wanted and wanted[0] > wanted[1] > wanted[2], "few, many, some: by the classes' names"
    report = scan(uneven, DataOptions(longtail=2.5))
    assert list(report.to_dict()["longtail"]["classes"].values()) == kept.tolist()
    assert (
        f"long tail  {kept.sum()} of {len(whole.train)} to train on: few ({kept[0]}), many ({kept[1]})" in report.text()
    )


def test_which_pictures_stay_is_not_the_trainings_seed(uneven, tmp_path):
    """Trainings of several seeds see one set; another long tail is another `--data-seed`."""
    from limner import verbs
    from limner.cli import limn
    from limner.cli.frame import run
    from limner.verbs.wishes import Wish

    one = Wish.of(None, 5, None, {"longtail": 2.5, "seed": 3})
    assert one.data == {"longtail": 2.5} and one.train["seed"] == 3
    other = Wish.of(None, 5, None, {"longtail": 2.5, "seed": 3, "data_seed": 1})
    assert other.data == {"longtail": 2.5, "seed": 1} and other.train["seed"] == 3 and not other.others

    packs = [verbs.pack(uneven, longtail=2.5, data_seed=seed) for seed in (0, 1)]
    assert packs[0].id == pack(uneven, DataOptions(longtail=2.5)).id != packs[1].id
    assert len(packs[0].train) == len(packs[1].train) and set(packs[0].train) != set(packs[1].train)
    assert run(limn, ["data", str(uneven), "--longtail", "2.5", "--data-seed", "1", "--out", str(tmp_path / "p")]) == 0
    assert np.array_equal(open_pack(tmp_path / "p").train, packs[1].train)


def test_without_labels_both_are_refused(tmp_path):
    root = folder(tmp_path / "set", 12, size=(8, 8))
    made = pack(root)
    with pytest.raises(UserError, match=r"--balance sqrt needs classes.*--labels"):
        Batches(made, made.train, 4, 0, balance="sqrt")
    with pytest.raises(UserError, match=r"--longtail 100 needs classes.*--labels"):
        pack(root, DataOptions(longtail=100))
    with pytest.raises(UserError, match="longtail"):
        DataOptions(longtail=0.5)
    with pytest.raises(UserError, match="two classes"):
        long_tail(np.zeros(5, int), "abcde", 1, 10, 0)


def test_both_are_kept_in_the_run(uneven, tmp_path):
    from limner import verbs

    how = {"model": "vae", "steps": 2, "batch": 4, "quiet": True, "tracker": "none"}
    run = verbs.train(uneven, out=tmp_path / "run", balance="sqrt", longtail=4, **how)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["train"]["balance"] == "sqrt" and config["data"]["options"] == {"longtail": 4.0}
    assert run.config.train.balance == "sqrt"
    with pytest.raises(UserError, match="balance full"):
        verbs.train(resume=True, out=tmp_path / "run", balance="full")
    with pytest.raises(UserError, match="--balance full needs classes"):
        verbs.train(folder(tmp_path / "plain", 12, size=(8, 8)), out=tmp_path / "other", balance="full", **how)
