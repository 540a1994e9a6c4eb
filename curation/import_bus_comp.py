"""Solid State Bus-Comp as published: dry files in one folder, a folder of wet files for every setting.

    processed_normalized/<Song>_UnmasteredWAV.wav
    processed_ground_truth/threshold_-12_attack_10_release_0.4_ratio_10/<Song>-exported.wav

How the automatic release is spelled is not published: a word other than `auto` is asked about. A setting counts as of
the grid when all its values are factors of the paper's grid. These multiply to 192 and the paper speaks of 144, so a
list of the random settings, if you have one, decides better.
"""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path

from ..manifests.errors import UsageError
from ..manifests.finding import INVALID, MISSING, Finding
from ..manifests.unit import AUTO, Position
from .import_layout import (
    AudioFile,
    Layout,
    SourceSong,
    SourceTake,
    audio_files,
    folders,
    id_of,
    require_folders,
    without_twins,
)
from .imported_unit import Profile, load_profile

DRY, WET = "processed_normalized", "processed_ground_truth"
DRY_SUFFIX, WET_SUFFIX = "_UnmasteredWAV", "-exported"
NUMBER = r"\d+(?:\.\d+)?"
SETTING = re.compile(
    rf"threshold_(?P<threshold_db>-?{NUMBER})_attack_(?P<attack_ms>{NUMBER})"
    rf"_release_(?P<release_s>{NUMBER}|[A-Za-z]+)_ratio_(?P<ratio>{NUMBER})"
)
GRID: dict[str, tuple[Position, ...]] = {
    "threshold_db": (-28, -24, -20, -16),
    "attack_ms": (0.1, 0.3, 1, 3),
    "release_s": (0.1, 0.4, 0.8, AUTO),
    "ratio": (2, 4, 10),
}


def read_bus_comp(source: Path, *, auto_word: str | None = None, random_settings: Set[str] | None = None) -> Layout:
    """What lies in `source`. `auto_word`: how its folders spell the automatic release. `random_settings`: names of the
    folders that are random settings; without it the factors of the grid decide.

    `UsageError` for another layout, for two songs that fold to one id, and where a word must be asked about."""
    require_folders(source, (DRY, WET), "Solid State Bus-Comp")
    profile, findings = load_profile("bus-comp"), list[Finding]()
    songs: dict[str, SourceSong] = {}
    for path in audio_files(source / DRY):
        relative = path.relative_to(source).as_posix()
        name = path.stem.removesuffix(DRY_SUFFIX)
        if name == path.stem:
            findings.append(Finding(INVALID, relative, f"its name does not end with {DRY_SUFFIX}"))
        elif song_id := id_of(name, findings, relative):
            songs[name] = SourceSong(song_id, name, AudioFile(source, relative))
    takes = []
    for folder in folders(source / WET):
        values = _values(folder, source, auto_word, profile, findings)
        if values is None:
            continue
        random = folder.name in random_settings if random_settings is not None else not _on_grid(values)
        found: set[str] = set()
        for path in audio_files(folder):
            relative = path.relative_to(source).as_posix()
            name = path.stem.removesuffix(WET_SUFFIX)
            if name == path.stem:
                findings.append(Finding(INVALID, relative, f"its name does not end with {WET_SUFFIX}"))
            elif name not in songs:
                findings.append(Finding(MISSING, f"{DRY}/{name}{DRY_SUFFIX}{path.suffix}", f"{relative} needs it"))
            else:
                found.add(name)
                origin = "random" if random else "grid"
                audio = AudioFile(source, relative)
                takes.append(SourceTake(songs[name].song_id, folder.name, values, audio, origin))
        for name in sorted(set(songs) - found):
            missing = f"{WET}/{folder.name}/{name}{WET_SUFFIX}.wav"
            findings.append(Finding(MISSING, missing, "every setting has every song"))
    if random_settings is not None and (unknown := sorted(random_settings - {take.setting_name for take in takes})):
        raise UsageError("a random setting in your list is no folder of the dataset", got=unknown[0])
    unit = profile.with_positions(take.values for take in takes)
    by_setting = {take.setting_name: take.origin for take in takes}
    grid = sum(origin == "grid" for origin in by_setting.values())
    told = f"{grid} of {len(by_setting)} settings are counted as of the grid, by its factors"
    return Layout(
        profile.title,
        unit,
        without_twins(songs.values()),
        takes,
        profile.sample_rate or 44_100,
        findings=findings,
        notes=[told] if random_settings is None else [],
    )


def _values(
    folder: Path, source: Path, auto_word: str | None, profile: Profile, findings: list[Finding]
) -> dict[str, Position] | None:
    """The setting that a folder's name means, or None and a finding."""
    relative = folder.relative_to(source).as_posix()
    match = SETTING.fullmatch(folder.name)
    if match is None:
        findings.append(Finding(INVALID, relative, "its name is no setting: threshold_T_attack_A_release_R_ratio_Q"))
        return None
    values: dict[str, Position] = {}
    for name, text in match.groupdict().items():
        if not text.isalpha():
            values[name] = float(text)
        elif text.lower() == AUTO or text == auto_word:
            values[name] = AUTO
        else:
            raise UsageError(
                f"what does the release {text} of {folder.name} mean",
                mend=f"if it is the automatic one: --auto-word {text}",
            )
    if wrong := profile.out_of_range(values):
        findings.append(Finding(INVALID, relative, wrong))
        return None
    return values


def _on_grid(values: dict[str, Position]) -> bool:
    return all(value in GRID[name] for name, value in values.items())
