"""The verbs `status`, `pause`, `resume` and `stop`."""

from __future__ import annotations

from pathlib import Path

import click

from ..manifests.console import dataset_option, json_option, tell

__all__ = ["pause", "resume", "status", "stop"]


@click.command()
@click.option("--watch", "watching", is_flag=True, help="Go on looking, with meters and questions, until Ctrl-C.")
@dataset_option
@json_option
def status(watching: bool, dataset_path: Path, as_json: bool) -> None:
    """How far the capture is, and what the daemon is doing.

    Takes by status, passes, hours left, rejected takes by reason, room on the disk, and the running daemon. It reads
    only, and may be asked at any time.

    Example: buscomp status --watch
    """
    from ..manifests.dataset import open_dataset
    from .control import requested
    from .standing import standing, told

    dataset = open_dataset(dataset_path)
    if watching:
        from .watch import watch

        watch(dataset, as_json)
        return
    found = standing(dataset)
    if found["daemon"] is not None:
        found["daemon"]["requested"] = requested(dataset)
    tell(as_json, found, *told(found))


@click.command()
@dataset_option
@json_option
def pause(dataset_path: Path, as_json: bool) -> None:
    """Let the running daemon wait after the take in progress.

    It keeps the audio device and goes on with `buscomp resume`.

    Example: buscomp pause
    """
    _ask(dataset_path, as_json, "pause", "pauses after the take in progress; `buscomp resume` lets it go on.")


@click.command()
@dataset_option
@json_option
def resume(dataset_path: Path, as_json: bool) -> None:
    """Let a paused daemon go on, or take back a `pause` or `stop` that it has not reached yet.

    Example: buscomp resume
    """
    _ask(dataset_path, as_json, "go", "goes on.")


@click.command()
@dataset_option
@json_option
def stop(dataset_path: Path, as_json: bool) -> None:
    """End the running daemon after the take in progress.

    `buscomp capture` goes on later. The daemon ends at once where it is paused or waits for a person.

    Example: buscomp stop
    """
    _ask(dataset_path, as_json, "stop", "stops after the take in progress; `buscomp capture` goes on later.")


def _ask(dataset_path: Path, as_json: bool, wanted: str, told: str) -> None:
    from ..manifests.dataset import open_dataset
    from ..manifests.errors import DatasetError
    from .control import WANTED, request
    from .daemon_state import daemon_of, holder_of

    dataset = open_dataset(dataset_path)
    daemon = daemon_of(dataset)
    if daemon is None:
        holder = holder_of(dataset)
        raise DatasetError(
            "no capture is running in this dataset" + (f"; it is in use by {holder}" if holder else ""),
            mend="`buscomp capture` starts one, and goes on where the last one stopped",
        )
    request(dataset, WANTED[wanted])
    tell(as_json, {"requested": wanted, "daemon": daemon}, f"The daemon (process {daemon['pid']}) {told}")
