"""ToneTwist AFx: dry files with a name, and a folder of wet files of these names for every setting of a pedal.

    ANALOG/DRY-with-markers/{trainval,test}/<name>.input.wav
    ANALOG/Ampeg-OptoComp/{trainval,test}/C100_R100_L060/C100_R100_L060.<name>.target.wav

A setting is letters with knob positions times ten; letters may come twice, and a value may be a word. They are
positions of knobs, not dB or ms, and stay so. Two impulses at the ends of every internal file are markers of time: they
help the alignment check and stay in the audio.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from pydantic import Field

from ..manifests.cells import SEEN, UNSEEN
from ..manifests.errors import UsageError
from ..manifests.finding import INVALID, MISSING, Finding
from ..manifests.unit import Position
from ..manifests.yaml_file import Strict, load_yaml
from .import_layout import AudioFile, Layout, SourceSong, SourceTake, audio_files, folders, id_of, without_twins
from .imported_unit import Knob, Profile

ROLES = {"trainval": SEEN, "test": UNSEEN}
PART = re.compile(r"([A-Za-z])(\d+|[A-Za-z]+)")
HIGHEST = 10.0  # on the panel


class Named(Strict):
    """What is known of one unit."""

    make: str
    model: str
    knobs: dict[str, str] = Field(default_factory=dict)  # letter, with a number when it comes again -> what it is


class Units(Strict):
    """import-tonetwist.yaml."""

    sample_rate: int  # Hz
    units: dict[str, Named]


def read_tonetwist(source: Path, *, unit: str | None = None) -> Layout:
    """What lies in `source` of the unit whose folder is called `unit`; of the only one where that is None.

    `UsageError` when no unit is found, several are, or the one has no dry folder beside it."""
    folder = _unit_folder(source, unit)
    dry_folders = [path for path in folders(folder.parent) if path.name.upper().startswith("DRY")]
    if len(dry_folders) != 1:
        raise UsageError(f"one dry folder must lie beside {folder.name}", got=len(dry_folders), allowed="DRY...")
    known = load_yaml(Path(__file__).with_name("import-tonetwist.yaml"), Units)
    findings: list[Finding] = []
    songs: dict[tuple[str, str], SourceSong] = {}
    for part in ROLES:
        for path in audio_files(dry_folders[0] / part) if (dry_folders[0] / part).is_dir() else []:
            relative = path.relative_to(source).as_posix()
            fields = path.name.split(".")
            if len(fields) != 3 or fields[1] != "input":
                findings.append(Finding(INVALID, relative, "its name is not <name>.input.wav"))
            elif song_id := id_of(f"{part}-{fields[0]}", findings, relative):
                songs[part, fields[0]] = SourceSong(song_id, fields[0], AudioFile(source, relative))
    raw: list[tuple[str, dict[str, Position], str, str, AudioFile]] = []
    for part in ROLES:
        for setting in folders(folder / part) if (folder / part).is_dir() else []:
            values = _values(setting, source, findings)
            if values is not None:
                raw += [
                    (setting.name, values, part, name, audio)
                    for name, audio in _targets(setting, source, findings).items()
                ]
    layout = Counter(tuple(values) for _, values, *_ in raw)
    if not layout:
        layout_of = "{trainval,test}/<setting>/<setting>.<name>.target.wav"
        raise UsageError(f"no takes in {folder}", mend=f"its files are {layout_of}")
    letters = layout.most_common(1)[0][0]
    profile = _profile(folder.name, letters, known)
    takes, wanted = [], set()
    for setting_name, values, part, name, audio in raw:
        if tuple(values) != letters:
            findings.append(Finding(INVALID, audio.name, f"its controls are not {' '.join(letters).upper()}"))
        elif (part, name) not in songs:
            relative = dry_folders[0].relative_to(source).as_posix()
            findings.append(Finding(MISSING, f"{relative}/{part}/{name}.input.wav", f"{audio.name} needs it"))
        else:
            named = dict(zip(profile.controls, values.values(), strict=True))
            wanted.add((part, name))
            if wrong := profile.out_of_range(named):
                findings.append(Finding(INVALID, audio.name, wrong))
            else:
                takes.append(SourceTake(songs[part, name].song_id, setting_name, named, audio, song_role=ROLES[part]))
    wet = folder.relative_to(source).as_posix()
    findings += [
        Finding(MISSING, f"{wet}/{part}/*/*.{name}.target.wav", f"{songs[part, name].audio.name} needs one")
        for part, name in sorted(set(songs) - wanted)
    ]
    played = without_twins(song for key, song in songs.items() if key in wanted)
    return Layout(
        f"ToneTwist AFx: {folder.name}",
        profile.with_positions(take.values for take in takes),
        played,
        takes,
        known.sample_rate,
        findings=findings,
    )


def _unit_folder(source: Path, unit: str | None) -> Path:
    found = {path.parents[2] for path in source.rglob("*.target.wav") if len(path.relative_to(source).parts) > 3}
    units = {path.name: path for path in sorted(found)}
    if unit is not None and unit in units:
        return units[unit]
    if unit is None and len(units) == 1:
        return next(iter(units.values()))
    if not units:
        raise UsageError(f"{source} is not laid out as ToneTwist AFx: it has no <setting>.<name>.target.wav")
    raise UsageError("which unit", got=unit, allowed=sorted(units), mend="name one: --unit NAME")


def _values(folder: Path, source: Path, findings: list[Finding]) -> dict[str, Position] | None:
    """`A100_R100_RAll` as {a: 10, r: 10, r2: "all"}: in order, a letter that comes again with a number."""
    values: dict[str, Position] = {}
    seen: Counter[str] = Counter()
    for part in folder.name.split("_"):
        match = PART.fullmatch(part)
        if match is None:
            relative = folder.relative_to(source).as_posix()
            findings.append(Finding(INVALID, relative, f"{part} is no letter with a value"))
            return None
        letter = match[1].lower()
        seen[letter] += 1
        key = letter if seen[letter] == 1 else f"{letter}{seen[letter]}"
        values[key] = int(match[2]) / 10 if match[2].isdigit() else match[2].lower()
    return values


def _targets(setting: Path, source: Path, findings: list[Finding]) -> dict[str, AudioFile]:
    """Name of the dry file -> wet file. Names are compared whole: a part of one would match `1` with `11`."""
    found: dict[str, AudioFile] = {}
    for path in audio_files(setting):
        relative = path.relative_to(source).as_posix()
        fields = path.name.split(".")
        if len(fields) != 4 or fields[0] != setting.name or fields[2] != "target":
            findings.append(Finding(INVALID, relative, f"its name is not {setting.name}.<name>.target.wav"))
        else:
            found[fields[1]] = AudioFile(source, relative)
    return found


def _profile(folder: str, letters: tuple[str, ...], known: Units) -> Profile:
    """A control for every letter: `compression_knob` where it is known what it is, else `knob_c`."""
    named = known.units.get(folder, Named(make="unknown", model=folder))
    words = ("all",)
    shorts = iter("abcdefghijklmnopqrstuvwxyz")
    controls = {}
    for letter in letters:
        what = named.knobs.get(letter)
        short = what[:3] if what else letter if letter.isalpha() else f"{letter[0]}{next(shorts)}"
        controls[f"{what}_knob" if what else f"knob_{letter}"] = Knob(
            label=letter.upper(),
            short=short,
            meaning=f"knob position{f' of {what}' if what else ''}, 0 to 10; {letter.upper()} in the folder names",
            low=0,
            high=HIGHEST,
            words=words,
        )
    return Profile(title="ToneTwist AFx", make=named.make, model=named.model, controls=controls)
