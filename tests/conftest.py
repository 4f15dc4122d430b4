"""What all tests share: real pictures where there are any, and a cache of their own."""

import os
from pathlib import Path

import pytest

SETS = Path(os.environ.get("LIMNER_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Packs go to a folder of this test process, so that no test finds what another run has left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_data():
    """The folder of real picture sets (mnist/, cifar10/, emoji/, faces/, avatars/); skips where it is absent."""
    if not SETS.is_dir():
        pytest.skip(f"no real pictures at {SETS}: name their folder in LIMNER_TEST_DATA")
    return SETS
