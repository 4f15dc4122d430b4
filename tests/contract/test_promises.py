"""The promises themselves: a sound generator keeps them all, and each can be broken."""

import pytest
import sabotaged

from limner import families
from limner.check import PROMISES, Broken, Subject, check

BROKEN = [
    ("builds", "Turned", "asked for"),
    ("builds", "Overexposed", "beyond"),
    ("builds_large", "Rambling", "refusal"),
    ("starts", "Choosy", "three at a time"),
    ("stays_finite", "Exploding", "not finite"),
    ("stays_finite", "Idle", "never trained"),
    ("any_batch", "Sociable", "differ by up to"),
    ("any_batch", "OneTrick", "nine seeds give 1 "),
    ("saves", "Forgetful", "paint other pictures"),
    ("resumes", "Remembering", "differ"),
    ("round_trip", "Moody", "two builds"),
    ("learns", "Lazy", "untrained"),
    ("is_able", "Deaf", "same pictures"),
    ("heeds_numbers", "Numb", "another number gives the same pictures"),
]


@pytest.fixture
def subject(monkeypatch):
    def made(name, **changes):
        monkeypatch.setitem(families.TABLE, name, f"sabotaged:{name}")
        return Subject(sabotaged.recipe(name), **changes)

    return made


def test_a_sound_generator_keeps_every_promise(subject):
    findings = list(check(subject("Sound").recipe))
    assert [finding.why for finding in findings if not finding.ok] == []
    assert len(findings) == len(PROMISES)


def test_what_a_recipe_raises_is_told(subject):
    findings = list(check(subject("Crashing").recipe))
    assert not any(finding.ok for finding in findings)
    assert all("ZeroDivisionError" in finding.why for finding in findings)


@pytest.mark.parametrize(("promise", "name", "said"), BROKEN)
def test_a_broken_promise_is_seen(promise, name, said, subject):
    with pytest.raises(Broken, match=said):
        PROMISES[promise](subject(name))


def test_what_should_be_refused_and_is_not_is_seen(subject):
    with pytest.raises(Broken, match="not refused"):
        PROMISES["refuses"](subject("Sound", refuses=({"rate": -1.0},)))


def test_every_promise_has_been_seen_broken():
    assert {promise for promise, _, _ in BROKEN} | {"refuses"} == set(PROMISES)
