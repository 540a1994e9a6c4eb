"""The verb `listen`: `make` a listening test, `analyse` what listeners said."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..manifests.console import dataset_option, json_option, progress, tell
from ..manifests.errors import UsageError


@click.group()
def listen() -> None:
    """A listening test in the manner of MUSHRA: `make` it, let people listen, `analyse` the results.

    Example: buscomp listen make --run s4-4-4-tvfilm --trials 8
    """


@listen.command()
@click.option("--run", "run_names", multiple=True, help="A folder under runs; repeat it.  [default: the newest]")
@click.option(
    "--baseline",
    "baseline_names",
    multiple=True,
    default=("output = input",),
    show_default=True,
    help="A system that needs no training; repeat it.",
)
@click.option("--trials", type=click.IntRange(1, 60), default=8, show_default=True, help="Takes of the test splits.")
@click.option("--seconds", type=click.FloatRange(1, 30), default=10.0, show_default=True, help="Of each sound.")
@click.option("--seed", default=0, show_default=True, help="Of the names of the files.")
@click.option("--title", default="Listening test", show_default=True, help="What listeners read first.")
@click.option(
    "--into",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="An empty folder.  [default: listening in the dataset]",
)
@dataset_option
@json_option
def make(
    dataset_path: Path, run_names: tuple[str, ...], baseline_names: tuple[str, ...], trials: int, seconds: float,
    seed: int, title: str, folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the test: a page that runs in a browser without a network, its key, and a webMUSHRA configuration.

    Example: buscomp listen make --run s4-4-4-tvfilm --run gcn-10-3-tvfilm --trials 8
    """
    from ..manifests.dataset import open_dataset
    from .baselines import fit_baselines
    from .checkpoint import newest_run, run_named
    from .listening_test import make_test
    from .systems import Candidate, ModelCandidate, baseline_candidates

    dataset = open_dataset(dataset_path)
    runs = [run_named(dataset, name) for name in run_names] or [newest_run(dataset)]
    candidates: list[Candidate] = [ModelCandidate(dataset, run) for run in runs]
    if baseline_names:
        known = {of.system.model: of for of in baseline_candidates(dataset.unit, fit_baselines(dataset))}
        if unknown := set(baseline_names) - set(known):
            raise UsageError("no such baseline", got=", ".join(sorted(unknown)), allowed=known)
        candidates += [known[name] for name in baseline_names]
    folder = folder or dataset.root / "listening"
    key = make_test(
        dataset, candidates, folder, trials=trials, seconds=seconds, seed=seed, title=title,
        progress=lambda takes: progress(takes, "listen"),
    )  # fmt: skip
    systems = list(key["trials"][0]["conditions"].values())
    tell(
        as_json,
        {"folder": str(folder), "trials": len(key["trials"]), "conditions": systems},
        f"{len(key['trials'])} trials of {', '.join(systems)}.",
        f"Give listeners the folder {folder / 'page'}, and open index.html in a browser.",
        f"Then: buscomp listen analyse results.csv --key {folder / 'key.json'}",
    )


@listen.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="key.json of the test.  [default: of listening in the dataset]",
)
@dataset_option
@json_option
def analyse(dataset_path: Path, results: tuple[Path, ...], key_path: Path | None, as_json: bool) -> None:
    """Mean score of every system with its 95 % confidence interval, from the files that the page gave listeners.

    Example: buscomp listen analyse anna.csv ben.csv
    """
    from .listening_analysis import analyse as do_analyse

    found = do_analyse(key_path or dataset_path / "listening" / "key.json", results)
    width = max((len(score.system) for score in found.scores), default=6)
    lines = [f"{'system':{width}} {'listeners':>9} {'mean':>6} {'95 % interval':>15} {'median':>7} {'quartiles':>13}"]
    for score in found.scores:
        between = "-" if score.low is None else f"{score.low:.1f} to {score.high:.1f}"
        quartiles = f"{score.quartile_1:.0f} to {score.quartile_3:.0f}"
        told = f"{score.system:{width}} {score.listeners:9} {score.mean:6.1f} {between:>15}"
        lines.append(f"{told} {score.median:7.1f} {quartiles:>13}")
    if not found.scores:
        lines = ["No listener is left."]
    lines += [
        f"Left out: {name}, the hidden reference got less than 90 in {share:.0%} of the trials."
        for name, share in found.left_out.items()
    ]
    tell(as_json, {"scores": [asdict(score) for score in found.scores], "left_out": found.left_out}, *lines)
