"""`capture.profiles`: which file a name on the command line means."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from buscomp.capture.device import DeviceProfile
from buscomp.capture.grid import load_grid
from buscomp.capture.profiles import SHIPPED, Kind, find_profile, profile_names, user_folder
from buscomp.manifests.errors import UsageError
from buscomp.manifests.unit import load_unit
from buscomp.manifests.yaml_file import load_yaml


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("unit: la-2a\n")
    return path


def test_typed_path_dataset_configuration_folder_and_shipped_win_in_this_order(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    assert find_profile("grid.yaml", dataset, "grid").read_text().count("expect: 144") == 1
    mine = put(tmp_path / "config" / "buscomp" / "grid.yaml")
    assert find_profile("grid.yaml", dataset, "grid") == mine
    its = put(dataset / "grid.yaml")
    assert find_profile("grid.yaml", dataset, "grid") == its
    typed = put(tmp_path / "here" / "grid.yaml")
    assert find_profile("grid.yaml", dataset, "grid").resolve() == typed
    assert find_profile("grid", dataset, "grid").resolve() == typed
    assert find_profile(str(its), tmp_path, "grid") == its


def test_without_xdg_the_configuration_folder_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert user_folder() == Path.home() / ".config" / "buscomp"


def test_a_folder_of_that_name_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "here" / "virtual.yaml").mkdir()
    assert find_profile("virtual", tmp_path, "device").is_file()


@pytest.mark.parametrize("name", ["nope", "other/grid.yaml", "ssl-500-bus", "grid.yml", ""])
def test_an_unknown_grid_is_one_line_that_lists_the_shipped_ones(tmp_path: Path, name: str) -> None:
    assert find_profile(name, tmp_path, "grid", missing_ok=True) is None
    with pytest.raises(UsageError, match=r"no such grid profile, got .*\(allowed: grid, grid-192, grid-demo\)"):
        find_profile(name, tmp_path, "grid")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in get_args(Kind) for name in SHIPPED[kind]])
def test_every_shipped_profile_reads(tmp_path: Path, kind: Kind, name: str) -> None:
    path = find_profile(name, tmp_path, kind)
    if kind == "grid":
        grid = load_grid(path)
        assert len(grid.settings(load_unit(grid.unit_path(tmp_path)))) > grid.expect
    elif kind == "unit":
        assert load_unit(path).controls
    else:
        load_yaml(path, DeviceProfile)


def test_every_yaml_beside_the_code_is_listed_as_shipped() -> None:
    folder = find_profile("grid", Path("/nonexistent"), "grid").parent
    listed = [name for kind in get_args(Kind) for name in profile_names(kind)]
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(listed)
