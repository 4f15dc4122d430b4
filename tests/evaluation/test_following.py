"""Whether a recorded loss follows the quality of pictures."""

import pytest

from limner.errors import UserError
from limner.evaluation.following import following


def record(step, distance=None, fd=None):
    if fd is not None:
        return {"step": step, "score": {"fd": fd, "kid": 1.0}}
    return {"step": step, "losses": {"discriminator/distance": distance, "generator/generator": 1.0}}


def test_ranks_are_compared_where_scores_were_taken():
    """The loss is that recorded last before a score; by hand, ranks 4 3 1 2 and 4 3 2 1 correlate to 0.8."""
    distances = {10: 9.0, 20: 5.0, 25: 50.0, 30: 1.0, 40: 2.0}
    scores = {12: 400.0, 20: 100.0, 31: 90.0, 40: 3.0}
    records = [record(step, distance=d) for step, d in distances.items()]
    records += [record(step, fd=fd) for step, fd in scores.items()]
    found = following(records)
    assert (found.steps, found.losses) == ((12, 20, 31, 40), (9.0, 5.0, 1.0, 2.0))
    assert found.spearman == pytest.approx(0.8)
    assert 0 < found.p < 1


def test_what_cannot_be_said_is_refused():
    with pytest.raises(UserError, match="choose one of discriminator/distance, generator/generator"):
        following([record(1, distance=1.0)], loss="critic/distance")
    with pytest.raises(UserError, match="1 scores were taken.*scores=12"):
        following([record(1, distance=1.0), record(2, fd=3.0)])
