"""The verb `calibrate`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..manifests.console import dataset_option, json_option, note, tell
from .profiles import device_option

if TYPE_CHECKING:
    from .calibration import Calibration, MeasuredReturn

QUIETEST_TONE_DBFS = -46.0
TONE_HZ = 1000.0


@click.command()
@device_option
@click.option("--meter", help="What a meter at the unit's input shows while the tone sounds: 1.23V, 775mV, 4dBu.")
@click.option("--return-meter", help="The same at the unit's output.")
@click.option(
    "--tone-dbfs",
    type=click.FloatRange(QUIETEST_TONE_DBFS, -1.0),
    default=-20.0,
    show_default=True,
    help="Peak of the 1 kHz tone that the meter reads.",
)
@click.option("--operator", help="Who is at the rack, for the record.  [default: the user]")
@dataset_option
@json_option
def calibrate(
    device: str,
    meter: str | None,
    return_meter: str | None,
    tone_dbfs: float,
    operator: str | None,
    dataset_path: Path,
    as_json: bool,
) -> None:
    """Measure latency, levels, noise and frequency response of the rack, with the unit bypassed.

    Every send speaks alone, so that a wrong cable is found and named. A tone and your meter at the unit's input say
    how many dBu digital full scale is; without a reading that stays unknown. The result goes to calibration.json.
    Exit status 0: saved; 1: a cable is wrong or the device cannot be opened, nothing was saved.

    Example: buscomp calibrate --device fireface --meter 0.775V
    """
    from ..manifests.dataset import Dataset
    from .calibrate import calibrate as carry_out
    from .meter import parse_reading

    calibration = carry_out(
        Dataset(dataset_path),
        device=device,
        meter_dbu=None if meter is None else parse_reading(meter),
        return_meter_dbu=None if return_meter is None else parse_reading(return_meter),
        tone_dbfs=tone_dbfs,
        operator=operator or getpass.getuser(),
        bypass=ask_for_bypass if sys.stdin.isatty() else None,
        read_meter=read_meter_aloud if sys.stdin.isatty() else None,
        report=note,
    )
    tell(as_json, calibration.to_document(), *_told(calibration))


def ask_for_bypass() -> None:
    """Return when the operator says that the unit is out of the way."""
    _ask("Bypass the unit (IN off) with its make-up at 0, or patch it out. Press Enter when that is done.")


def _ask(question: str) -> str:
    click.echo(question, err=True)
    return sys.stdin.readline().strip()


def read_meter_aloud(tone_dbfs: float) -> float | None:
    """What the operator reads while the tone sounds; None for Enter alone."""
    from ..manifests.errors import UsageError
    from .meter import dbu_at_0dbfs, parse_reading

    question = (
        f"A tone of 1 kHz at {tone_dbfs:g} dBFS is on every send now. Type what the meter at the unit's input shows, "
        "such as 0.775V or 4dBu. Enter alone leaves the levels unknown."
    )
    while answer := _ask(question):
        try:
            reading_dbu = parse_reading(answer)
            dbu_at_0dbfs(reading_dbu, tone_dbfs)
            return reading_dbu
        except UsageError as error:
            question = f"{error}."
    return None


def _told(calibration: Calibration) -> list[str]:
    """The findings, a line each."""
    lines = [f"Device    {calibration.device}, {calibration.sample_rate} Hz, blocks of {calibration.block_size}"]
    ways = [*calibration.returns, *([calibration.loopback] if calibration.loopback else [])]
    lines += [f"{'Loopback' if way is calibration.loopback else 'Return':<9} {_way_told(way)}" for way in ways]
    out_dbu, in_dbu = calibration.dbu_at_0dbfs_out, calibration.dbu_at_0dbfs_in
    if out_dbu is None or in_dbu is None:
        lines.append("Levels    unknown: no meter was read; give --meter")
    else:
        lines.append(f"Levels    0 dBFS is {out_dbu:+.2f} dBu at the sends and {in_dbu:+.2f} dBu at the returns")
        lines.append(f"          (taken for granted: {calibration.assumed})")
    lines += [f"Look at   {remark}" for remark in calibration.remarks]
    return [*lines, "Saved in calibration.json."]


def _way_told(way: MeasuredReturn) -> str:
    response = dict(way.response)
    crosstalk = "" if way.crosstalk_db is None else f", crosstalk {way.crosstalk_db:.0f} dB"
    bends = [
        f"{hz:g} Hz {response[hz] - response[TONE_HZ]:+z.2f} dB"
        for hz in (20.0, 100.0, 10_000.0, 20_000.0)
        if hz in response
    ]
    return (
        f"{way.channel} from send {way.send}: latency {way.latency_samples:.3f} samples "
        f"(+-{way.latency_std_samples:.4f}), gain {way.gain_db:+z.2f} dB, noise {way.noise_dbfs:.1f} dBFS, "
        f"hum {way.hum_dbfs:.1f} dBFS{crosstalk}\n          response re 1 kHz: {', '.join(bends)}"
    )
