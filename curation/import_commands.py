"""The verb `import`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from ..manifests.console import counter, dataset_option, json_option, note, tell

LAYOUTS = ("bus-comp", "signaltrain", "tonetwist", "cl1b")
OF_LAYOUT = {  # options that only one layout asks for
    "auto_word": "bus-comp",
    "random_settings": "bus-comp",
    "switch_0": "signaltrain",
    "unit_name": "tonetwist",
    "rate": "cl1b",
    "controls": "cl1b",
    "keys": "cl1b",
}
SHOWN = 20  # findings of a kind on the screen; all of them stand in import.json


@click.command("import")
@click.argument("layout", type=click.Choice(LAYOUTS))
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--audio",
    type=click.Choice(["flac", "copy", "link"]),
    default="flac",
    show_default=True,
    help="24-bit FLAC of every file, a copy of it, or a second name (hard link) for it.",
)
@click.option("--license", "license_name", help="Licence of the songs, an SPDX name; without it none is exported.")
@click.option("--dry-gain-db", default=0.0, show_default=True, help="Gain for all dry audio.")
@click.option("--wet-gain-db", default=0.0, show_default=True, help="Gain for all wet audio.")
@click.option("--wet-lags", default=0, show_default=True, help="By how many samples all wet audio lags dry.")
@click.option("--cut-tail", is_flag=True, help="Drop what wet has behind the end of dry.")
@click.option("--auto-word", help="bus-comp: how its folders spell the automatic release.")
@click.option(
    "--random-settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="bus-comp: a text file with the folder names of the random settings, one a line.",
)
@click.option("--switch-0", help="signaltrain: what the switch does at 0, compress or limit.")
@click.option("--unit", "unit_name", help="tonetwist: which unit, by the name of its folder.")
@click.option("--rate", type=click.IntRange(8000, 384_000), help="cl1b: sample rate of the arrays, Hz.")
@click.option("--controls", help="cl1b: names of the controls, in order, by commas.")
@click.option("--keys", help="cl1b: the keys of dry, wet and controls, by commas.  [default: x,y,z]")
@click.option("--jobs", type=click.IntRange(1), help="How many local processes.  [default: one per core]")
@click.option("--scheduler", metavar="ADDRESS", help="Work on the Dask scheduler there, instead of here.")
@dataset_option
@json_option
def import_(
    layout: str,
    source: Path,
    audio: str,
    license_name: str | None,
    dry_gain_db: float,
    wet_gain_db: float,
    wet_lags: int,
    cut_tail: bool,
    jobs: int | None,
    scheduler: str | None,
    dataset_path: Path,
    as_json: bool,
    **asked: Any,
) -> None:
    """A dataset that others published, in SOURCE, becomes a dataset here. SOURCE is only read.

    Every pair is decoded and checked: rate, channels, equal length, alignment, controls inside their ranges. What does
    not pass is left out and told of, missing and invalid apart (exit status 1); import.json keeps all of it. What a
    layout does not say is asked for by an option, never guessed. Type it again after an interruption.

    Example: buscomp import signaltrain SignalTrain_LA2A_Dataset_1.1 --dataset la2a
    """
    from ..manifests.dataset import Dataset
    from ..manifests.errors import UsageError
    from ..manifests.parallel import cores
    from .imported import Choices, import_dataset

    if not source.exists():
        raise UsageError(f"no such folder: {source}")
    for name, value in asked.items():
        if value is not None and OF_LAYOUT[name] != layout:
            option = name.removesuffix("_name").replace("_", "-")
            raise UsageError(f"--{option} belongs to {OF_LAYOUT[name]}", got=layout)
    found = _read(layout, source, asked)
    choices = Choices(audio, license_name, dry_gain_db, wet_gain_db, wet_lags, cut_tail)
    made = import_dataset(
        Dataset(dataset_path), found, choices, jobs=jobs or cores(), scheduler=scheduler, count=counter("import")
    )
    for line in found.notes:
        note(f"note: {line}")
    kinds = Counter(finding.kind for finding in made.findings)
    shown = [
        finding for kind in kinds for finding in [finding for finding in made.findings if finding.kind == kind][:SHOWN]
    ]
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "nothing wrong"
    tell(
        as_json,
        {
            "source": found.title,
            "songs": made.songs,
            "settings": made.settings,
            "takes": made.takes,
            "kept": made.kept,
            "findings": [vars(finding) for finding in made.findings],
        },
        *(f"{finding.kind:10} {finding.path}: {finding.detail}" for finding in shown),
        *([f"... the others stand in {dataset_path}/import.json."] if len(shown) < len(made.findings) else []),
        f"{found.title}: {made.songs} songs, {made.settings} settings, {made.takes} takes ({made.kept} from before): "
        f"{told}.",
    )
    if made.findings:
        click.get_current_context().exit(1)


def _read(layout: str, source: Path, asked: dict[str, Any]) -> Any:
    """What `source` holds, by its layout."""
    if layout == "bus-comp":
        from .import_bus_comp import read_bus_comp

        listed = asked["random_settings"]
        names = None if listed is None else {line.strip() for line in listed.read_text().splitlines() if line.strip()}
        return read_bus_comp(source, auto_word=asked["auto_word"], random_settings=names)
    if layout == "signaltrain":
        from .import_signaltrain import read_signaltrain

        return read_signaltrain(source, switch_0=asked["switch_0"])
    if layout == "tonetwist":
        from .import_tonetwist import read_tonetwist

        return read_tonetwist(source, unit=asked["unit_name"])
    from .import_cl1b import read_cl1b

    split = {name: asked[name].split(",") if asked[name] else None for name in ("controls", "keys")}
    return read_cl1b(source, sample_rate=asked["rate"], **split)
