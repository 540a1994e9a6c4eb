"""Where grids, units and devices that are named on the command line lie.

A profile is looked for in four places, and the first that has it wins: the path as typed, the dataset's folder, the
user's configuration folder, and what ships with buscomp. So a dataset's own `grid.yaml` stands before the shipped one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, overload

import click

from ..manifests.errors import UsageError

Kind = Literal["grid", "unit", "device"]
SHIPPED: dict[Kind, tuple[str, ...]] = {
    "grid": ("grid", "grid-192", "grid-demo"),
    "unit": ("ssl-500-bus", "la-2a"),
    "device": ("fireface", "virtual", "virtual-operator"),
}


@overload
def find_profile(name: str, dataset_root: Path, kind: Kind, missing_ok: Literal[False] = False) -> Path: ...
@overload
def find_profile(name: str, dataset_root: Path, kind: Kind, missing_ok: Literal[True]) -> Path | None: ...
def find_profile(name: str, dataset_root: Path, kind: Kind, missing_ok: bool = False) -> Path | None:
    """The file that `name`, with or without `.yaml`, means.

    When there is none: `UsageError` listing the shipped ones, or None if `missing_ok`."""
    file_name = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    for folder in (Path(), dataset_root, user_folder()):
        if (folder / file_name).is_file():
            return folder / file_name
    if file_name.removesuffix(".yaml") in SHIPPED[kind]:
        return Path(__file__).with_name(file_name)
    if missing_ok:
        return None
    raise UsageError(
        f"no such {kind} profile",
        got=name,
        allowed=profile_names(kind),
        mend=f"name one of these, or put {Path(file_name).name} into the dataset or into {user_folder()}",
    )


def profile_names(kind: Kind) -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return SHIPPED[kind]


def _complete(kind: Kind) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a shell may offer for an option that names a profile: the shipped ones, the user's, and YAML files here."""

    def offer(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        own = [path.stem for path in user_folder().glob("*.yaml")] if kind == "device" else []
        names = {*profile_names(kind), *own, *(path.name for path in Path().glob("*.yaml"))}
        return sorted(name for name in names if name.startswith(incomplete))

    return offer


def user_folder() -> Path:
    """The user's own profiles: `$XDG_CONFIG_HOME/buscomp`, else `~/.config/buscomp`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "buscomp"


device_option = click.option(
    "--device",
    required=True,
    shell_complete=_complete("device"),
    help="A device profile, or a part of the device's name.",
)
grid_option = click.option(
    "--grid",
    default="grid.yaml",
    show_default=True,
    shell_complete=_complete("grid"),
    help="A file, or a shipped grid.",
)
