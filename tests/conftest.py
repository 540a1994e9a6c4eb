"""Fixtures that every room's tests may ask for."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from buscomp.manifests.dataset import Dataset
from buscomp.tests import small_dataset

# A loaded machine is slow, not wrong; and failing examples are printed, so no folder need remember them.
settings.register_profile("buscomp", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("buscomp")

# Two processes that fill the same cache of compiled functions at once have crashed in it; so each worker has its own,
# and what a test starts uses that of its worker.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"buscomp-numba-{os.getuid()}-{worker}"))

# Whoever starts the tests in the background makes them, and every program they start, deaf to Ctrl-C, or to hang-ups.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """With several workers (`-n 2 --dist loadfile`) the tests of a file stay together, and those of the rig, which this
    machine has once, too: they are one group."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/rig" if nodeid.startswith("tests/rig/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rig begins, because it plays in real time, and the longest test beside it."""
    items.sort(key=lambda item: ("rig" not in item.path.parts, item.path.name != "test_demo.py"))


@pytest.fixture(name="make_dataset")
def make_dataset_fixture() -> Callable[..., Dataset]:
    """`make_dataset(path, songs=3, settings=4, seconds=2.0)`: see `tests/small_dataset.py`."""
    return small_dataset.make_dataset


@pytest.fixture(scope="session")
def whole_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset of 3 songs x 4 settings of 1 s, shared by the whole session: read it, never write into it."""
    return small_dataset.make_dataset(tmp_path_factory.mktemp("whole") / "dataset", seconds=1.0)


@pytest.fixture
def dataset(tmp_path: Path, whole_dataset: Dataset) -> Dataset:
    """A copy of `whole_dataset`, free to be spoiled."""
    shutil.copytree(whole_dataset.root, tmp_path / "dataset")
    return Dataset(tmp_path / "dataset")
