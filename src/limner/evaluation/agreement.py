"""Is what was asked for found in the pictures? A judge that learnt from real pictures alone says what each one shows.

Its own errors stand beside: on held-out real pictures, whose labels are known, it finds so many of them. Combinations
that training saw nothing of are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from limner.api import Attribute
from limner.errors import UserError
from limner.evaluation.judge import judge_of, labels_of
from limner.evaluation.reference import Progress, read_blocks, shuffled
from limner.labels import FINE, number_of

if TYPE_CHECKING:
    from limner.data import Pack

WITHIN = 0.1
"""A number is found where what is judged differs by at most this share of its range."""
_SPREAD = 1.96
_FEW = 8  # of fewer real pictures a share says nothing


@dataclass(frozen=True)
class Question:
    """Labels (n, A) to ask for; of a combination that training saw nothing of, its values by attribute."""

    labels: np.ndarray
    combination: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The combination in words, "" for none."""
        return ", ".join(f"{name}={value}" for name, value in self.combination.items())


@dataclass(frozen=True)
class Found:
    """How often something asked for was found.

    Attributes:
        n: pictures that were asked for it. share: of them those that it was found in; low, high: its 95 % interval
            (Wilson 1927). judge: share of held-out real pictures in which the judge finds what they are labelled, of
            `real` pictures; None where there are too few.
        error, judge_error: of a number, the mean distance from what was asked, in its own unit, and the judge's own.
        correlation: of a number, of asked and found.
        values: of an attribute of classes, (asked, found) by value.
    """

    name: str
    n: int
    share: float
    low: float
    high: float
    judge: float | None
    real: int
    error: float | None = None
    judge_error: float | None = None
    correlation: float | None = None
    values: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """What was asked together.

    Attributes:
        name: the combination that training saw nothing of; "" where all of them were seen.
        together: all that was asked of a picture at once; of an unseen combination its own attributes.
    """

    name: str
    n: int
    attributes: tuple[Found, ...]
    together: Found


@dataclass(frozen=True)
class Agreement:
    """What was asked for and found; `learnt_from` real training pictures the judge has its knowledge from."""

    learnt_from: int
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Agreement:
        """From what `to_dict` gave."""

        def found(one: Mapping[str, Any]) -> Found:
            return Found(**{**one, "values": {name: (a, b) for name, (a, b) in one["values"].items()}})

        groups = (
            Group(one["name"], one["n"], tuple(map(found, one["attributes"])), found(one["together"]))
            for one in said["groups"]
        )
        return cls(said["learnt_from"], tuple(groups))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"words": self.words(), **asdict(self)}

    def words(self) -> str:
        """The result in a sentence."""
        seen, *unseen = self.groups
        aside: list[str] = []
        what = "what was asked for"
        if len(seen.attributes) == 1:
            what, aside = f"the asked {seen.attributes[0].name}", _worst(seen.attributes[0])
        said = f"{what} is found in {_percent(seen.together.share)} of the pictures"
        for group in unseen:
            said += f"; {group.name}, never seen in training, in {_percent(group.together.share)}"
        if seen.together.judge is not None:
            aside = [*aside, f"the judge finds it in {_percent(seen.together.judge)} of real ones"]
        return said + (f" ({'; '.join(aside)})" if aside else "")

    def text(self) -> list[str]:
        """A table for a person."""
        rows = [(group, one) for group in self.groups for one in (*group.attributes, *_whole(group))]
        wide = max(24, *(len(one.name) + 4 for _, one in rows))
        lines = [f"{'Asked for and found':{wide}}{'found':>8}   {'95 % interval':<18}{'judge':>8}"]
        before = self.groups[0]
        for group, one in rows:
            if group is not before:
                before = group
                lines.append(f"never seen in training: {group.name} ({group.n:,} pictures)")
            judge = "?" if one.judge is None else _percent(one.judge)
            interval = f"{_percent(one.low)} to {_percent(one.high)}"
            lines.append(f"  {one.name:{wide - 2}}{_percent(one.share):>8}   {interval:<18}{judge:>8}{_off(one)}")
        lines.append(
            f"The judge learnt from {self.learnt_from:,} real training pictures; its column is how often it finds what "
            f"{self.groups[0].together.real:,} held-out real ones show."
        )
        return [*lines, f"Asked: {self.words()}."]


def _whole(group: Group) -> tuple[Found, ...]:
    return (group.together,) if len(group.attributes) > 1 else ()


def _off(one: Found) -> str:
    if one.error is None:
        return ""
    judge = "" if one.judge_error is None else f" (judge {one.judge_error:.3g})"
    return f"   off by {one.error:.3g}{judge} on average"


def _worst(one: Found) -> list[str]:
    shares = {name: right / asked for name, (asked, right) in one.values.items() if asked >= _FEW}
    worst = min(shares, key=lambda name: shares[name], default=None)
    return [] if worst is None or len(shares) < 2 else [f"least often {worst!r}, {_percent(shares[worst])}"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def questions(
    pack: Pack, attributes: Sequence[Attribute], combinations: Sequence[Mapping[str, str]], n: int, seed: int
) -> list[Question]:
    """What to ask for: `n` labels as real training pictures have them, then those of each unseen combination.

    A combination's other attributes are as real pictures that have it show them.

    Raises:
        UserError: the set's attributes are not these.
    """
    for one in attributes:
        if pack.attributes.get(one.name) != one.values or pack.ranges.get(one.name) != one.range:
            raise UserError(f"the pictures to judge by have other labels than {one.name}: name the run's own data")
    found = [Question(_cycled(labels_of(pack, shuffled(pack.train, seed, "asked"), attributes), n))]
    names = [one.name for one in attributes]
    others = np.concatenate([pack.unseen, pack.held_out])
    for combination in combinations:
        said = Question(np.empty(0), combination).name
        if missing := [name for name in combination if name not in names]:
            raise UserError(f"{said} was left out of training, but {missing[0]} is no label that can be asked for")
        rows = labels_of(pack, others, attributes)
        rows = rows[_having(rows, attributes, combination)]
        found.append(Question(_cycled(rows[shuffled(np.arange(len(rows)), seed, said)], n), combination))
    return found


def named(labels: np.ndarray, attributes: Sequence[Attribute]) -> list[dict[str, str | float]]:
    """Labels (n, A) as a person would ask for them, by the attributes' names; the unknown is left open."""
    return [
        {
            one.name: one.values[code] if one.range is None else number_of(int(code), one.range)
            for one, code in zip(attributes, row, strict=True)
            if code >= 0
        }
        for row in labels
    ]


def agreement(
    pack: Pack,
    attributes: Sequence[Attribute],
    asked: Sequence[Question],
    pictures: Sequence[np.ndarray],
    progress: Progress | None = None,
) -> Agreement:
    """How often what was `asked` is found in `pictures`, for each question (n, H, W[, C]) uint8 in the order asked."""
    judge = judge_of(pack, attributes, progress)
    real = labels_of(pack, pack.held_out, attributes)
    judged = judge.labels(read_blocks(pack, pack.held_out))
    of = [_having(real, attributes, one.combination) for one in asked]
    of[0] = ~np.any(of[1:], axis=0) if len(of) > 1 else np.ones(len(real), bool)
    groups = []
    for one, painted, mask in zip(asked, pictures, of, strict=True):
        both = (one.labels, judge.labels(painted)), (real[mask], judged[mask])
        found = [_found(place, attribute, *both) for place, attribute in enumerate(attributes)]
        groups.append(Group(one.name, len(one.labels), tuple(found), _together(one, attributes, *both)))
    return Agreement(judge.learnt_from, tuple(groups))


Pair = tuple[np.ndarray, np.ndarray]  # what is meant and what is judged, (n, A) each


def _right(attribute: Attribute, meant: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """(n,) bool; what was left open is right."""
    reach = 0 if attribute.range is None else WITHIN * FINE
    return np.asarray((np.abs(meant - judged) <= reach) | (meant < 0))


def _found(place: int, attribute: Attribute, ours: Pair, real: Pair) -> Found:
    (meant, judged), (truth, said) = (tuple(x[pair[0][:, place] >= 0, place] for x in pair) for pair in (ours, real))
    right = _right(attribute, meant, judged)
    more: dict[str, Any] = {}
    if attribute.range is not None:
        unit = (attribute.range[1] - attribute.range[0]) / FINE
        more["error"] = float(np.abs(meant - judged).mean() * unit) if len(meant) else None
        more["judge_error"] = float(np.abs(truth - said).mean() * unit) if len(truth) else None
        if len(meant) > 2 and meant.std() > 0 and judged.std() > 0:
            more["correlation"] = float(np.corrcoef(meant, judged)[0, 1])
    else:
        counts = ((meant == code, name) for code, name in enumerate(attribute.values))
        more["values"] = {name: (int(mask.sum()), int(right[mask].sum())) for mask, name in counts if mask.any()}
    return _share(attribute.name, right, _right(attribute, truth, said), more)


def _together(asked: Question, attributes: Sequence[Attribute], ours: Pair, real: Pair) -> Found:
    names = asked.combination or [one.name for one in attributes]
    right, known = (
        np.all(
            [_right(one, meant[:, i], judged[:, i]) for i, one in enumerate(attributes) if one.name in names], axis=0
        )
        for meant, judged in (ours, real)
    )
    return _share(" and ".join(asked.combination) or "all at once", right, known, {})


def _share(name: str, right: np.ndarray, known: np.ndarray, more: Mapping[str, Any]) -> Found:
    n, share = len(right), float(right.mean()) if len(right) else 0.0
    low, high = _interval(share, n)
    judge = float(known.mean()) if len(known) >= _FEW else None
    return Found(name, n, share, low, high, judge, len(known), **more)


def _interval(share: float, n: int) -> tuple[float, float]:
    """95 % of a share (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z = _SPREAD**2 / n
    middle, reach = share + z / 2, _SPREAD * (share * (1 - share) / n + z / (4 * n)) ** 0.5
    return max(0.0, (middle - reach) / (1 + z)), min(1.0, (middle + reach) / (1 + z))


def _having(labels: np.ndarray, attributes: Sequence[Attribute], combination: Mapping[str, str]) -> np.ndarray:
    """(n,) bool: which labels (n, A) have the combination."""
    names = [one.name for one in attributes]
    mask = np.ones(len(labels), bool)
    for name, value in combination.items():
        mask &= labels[:, names.index(name)] == attributes[names.index(name)].values.index(value)
    return mask


def _cycled(labels: np.ndarray, n: int) -> np.ndarray:
    return labels[np.arange(n) % len(labels)]
