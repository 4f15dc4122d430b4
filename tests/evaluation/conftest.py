"""Packed sets that every machine can make, shared by the tests of evaluation."""

import pytest

from limner.data import DataOptions, pack


@pytest.fixture(scope="session")
def digits():
    return pack("digits", DataOptions())


@pytest.fixture(scope="session")
def photos():
    return pack("photos", DataOptions(size=32, limit=1500))
