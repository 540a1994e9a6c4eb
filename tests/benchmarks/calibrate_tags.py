"""Fits and judges the probabilities of instruments: what musicnn scores, against the instruments that the MIDI plays.

    python tests/benchmarks/render_songs.py --sources UNPACKED
    python tests/benchmarks/calibrate_tags.py --sources UNPACKED [--write annotation/calibration.yaml]

Truth: a song has an instrument that plays at least 5 % of its notes, weighted by their velocity, and has not one that
plays none; what is between counts as neither. Lines are fitted to the development part of `known_songs.py` alone, and
judged on its test part, beside the networks' own scores: Brier score, expected calibration error (ten bins), area under
the ROC curve; then how often the first word of a list is right, and whether its confidence tells when.

Renders are not records: in them, drums have lower scores. So for drum there are recorded sounds, too, where the Debian
package sonic-pi-samples is unpacked: drum loops against drones, guitars and other sounds without drums, the one half
for fitting and the other for judging. Each side of them weighs in the fit as much as all renders of that side.

Left out: **vocal**, for no synthesiser sings words; **keyboard**, whose only tag is the harpsichord; **bass** and
**brass**, for which there are no tags.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import numpy.typing as npt
import soundfile
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from tqdm import tqdm

from buscomp.annotation.calibration import Line, evidence, probability
from buscomp.annotation.musicnn import NETWORKS, Musicnn, best_scores, hear, named
from buscomp.manifests.pcm import Float32
from buscomp.manifests.storage import write_text, write_whole
from buscomp.tests.benchmarks.known_songs import DEVELOPMENT_SECONDS, SECONDS, development_part, untouched_part
from buscomp.tests.benchmarks.render_songs import add_places
from buscomp.tests.benchmarks.rendering import Clip, MissingSourceError, Sources

PROGRAMS = {  # General MIDI, from 0; what is in none of these (bells, timpani, synthetic strings) counts for nothing
    "piano": range(0, 4),
    "keyboard": (*range(4, 8), *range(16, 21)),
    "guitar": range(24, 32),
    "bass": range(32, 40),
    "string": (*range(40, 47), 48, 49, 104, 110),
    "vocal": range(52, 55),
    "brass": range(56, 62),
    "woodwind": range(64, 80),
    "synth": range(80, 104),
    "drum": range(112, 119),
}
INSTRUMENT = {program: name for name, programs in PROGRAMS.items() for program in programs}
DRUM_CHANNEL = 9
HEARD = 0.05
FITTED = ("drum", "guitar", "synth", "piano", "string", "woodwind")
STEEPEST = 2.0
SOUNDS = "sounds"  # the group of recorded sounds
SHORTEST_S = 0.8  # of a sound
NO_DRUMS = ("loop_3d_printer", "loop_drone_g_97")  # loops that are none of drums
BINS = 10
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tagged:
    """A clip: the share of its notes that each instrument plays, and the mean tag scores (50,) of each network. Of a
    recorded sound it is known only whether it is of drums."""

    group: str
    shares: Mapping[str, float]
    scores: Mapping[str, Numbers]

    def has(self, name: str) -> bool | None:
        """None: not known, or too little to say."""
        if self.group == SOUNDS and name != "drum":
            return None
        share = self.shares.get(name, 0.0)
        return True if share >= HEARD else False if share == 0 else None


def shares_of(midi: mido.MidiFile, seconds: float) -> dict[str, float]:
    """Which share of the first `seconds`' notes, by velocity, each instrument plays."""
    programs, played, now, tempo = [0] * 16, Counter[str](), 0.0, 500_000
    for message in mido.merge_tracks(midi.tracks):
        now += mido.tick2second(message.time, midi.ticks_per_beat, tempo)
        if now > seconds:
            break
        if message.type == "set_tempo":
            tempo = message.tempo
        elif message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            name = "drum" if message.channel == DRUM_CHANNEL else INSTRUMENT.get(programs[message.channel], "")
            played[name] += message.velocity
    total = max(1, sum(played.values()))
    return {name: count / total for name, count in played.items()}


def tagged(clips: Sequence[Clip], cache: Path, seconds: float) -> list[Tagged]:
    """Every clip of `seconds` with known instruments, heard by the networks once: `cache` keeps their scores."""
    found = []
    for clip in tqdm([clip for clip in clips if clip.midi is not None], "tags", disable=None, leave=False):
        audio, rate = clip.read()
        told = _scores(cache / "tags" / clip.path.stem, audio[:, None], rate)
        found.append(Tagged(clip.group, shares_of(mido.MidiFile(clip.midi), seconds), told))
    return found


def recorded(sources: Sources, cache: Path) -> tuple[list[Tagged], list[Tagged]]:
    """The sounds of sonic-pi for fitting and for judging, every second one each; none where they are missing."""
    try:
        folder = sources.find("sonic-pi/samples", "sonic-pi-samples")
    except MissingSourceError as error:
        print(f"left out: {error}")
        return [], []
    found = []
    for path in sorted(path for kind in ("loop", "ambi", "guit") for path in folder.glob(f"{kind}_*.flac")):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if len(audio) >= SHORTEST_S * rate:
            drum = path.stem.startswith("loop") and path.stem not in NO_DRUMS
            found.append(Tagged(SOUNDS, {"drum": float(drum)}, _scores(cache / "tags" / path.stem, audio, rate)))
    return found[::2], found[1::2]


def _scores(stem: Path, audio: Float32, rate: int) -> dict[str, Numbers]:
    kept = stem.with_name(f"{stem.name}-{Musicnn().weights_sha256[:12]}.npz")
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        heard = hear(audio, rate)
        assert heard is not None, f"{stem.name} is silent"
        whole = {network: tags.mean(axis=0) for network, tags in heard.scores.items()}
        write_whole(kept, lambda temporary: _save(temporary, whole))
    with np.load(kept) as scores:
        return {network: np.asarray(scores[network], np.float64) for network in NETWORKS}


def _save(path: Path, arrays: Mapping[str, npt.NDArray[np.floating]]) -> None:
    with path.open("wb") as file:
        np.savez(file, msd=arrays["msd"], mtt=arrays["mtt"])


def fitted(songs: Sequence[Tagged], name: str) -> Line:
    """The line of the instrument `name` of the greatest likelihood whose slopes are not negative."""
    judged = [song for song in songs if song.has(name) is not None]
    truth = np.array([song.has(name) for song in judged], float)
    told = [best_scores("instruments", name, song.scores) for song in judged]
    sounds = np.array([song.group == SOUNDS for song in judged])
    weights = np.ones(len(judged))
    for side in (truth == 0, truth == 1):
        if sounds[side].any():
            weights[side & sounds] = np.sum(side & ~sounds) / np.sum(side & sounds)
    networks = [network for network in NETWORKS if network in told[0]]
    odds = np.array([[evidence(each[network]) for network in networks] for each in told])

    def loss(line: Numbers) -> float:
        sure = line[0] + odds @ line[1:]
        return float(np.average(np.logaddexp(0, sure) - truth * sure, weights=weights))

    bounds = [(None, None), *[(0.0, STEEPEST)] * len(networks)]
    best = minimize(loss, np.array([0.0, *[1.0] * len(networks)]), bounds=bounds, method="L-BFGS-B").x
    slopes = {network: round(float(slope), 3) for network, slope in zip(networks, best[1:], strict=True)}
    return Line(offset=round(float(best[0]), 3), slopes=slopes)


def pairs(songs: Sequence[Tagged], name: str, line: Line | None) -> tuple[Numbers, Numbers]:
    """Truth and probability of the instrument in every song that has it or has not; without a line, the score."""
    judged = [song for song in songs if song.has(name) is not None]
    told = [best_scores("instruments", name, song.scores) for song in judged]
    sure = [probability(line, each) if line else max(each.values()) for each in told]
    return np.array([song.has(name) for song in judged], float), np.array(sure)


def calibration_error(truth: Numbers, sure: Numbers) -> float:
    """Expected calibration error: the mean distance of probability and frequency in ten bins, by their counts."""
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    return sum(
        float(np.mean(places == place)) * abs(float(truth[places == place].mean() - sure[places == place].mean()))
        for place in np.unique(places)
    )


def _judged(truth: Numbers, sure: Numbers) -> str:
    area = f"{roc_auc_score(truth, sure):.3f}" if 0 < truth.mean() < 1 else "-"
    return f"{np.mean((truth - sure) ** 2):.3f} {calibration_error(truth, sure):.3f} {area}"


def tell(songs: Sequence[Tagged], lines: Mapping[str, Line]) -> None:
    """One table: a row per instrument, and the lists that users see."""
    print(f"{len(songs)} test songs: {dict(Counter(song.group for song in songs))}")
    print(f"{'':10} {'with':>4} {'without':>7}   calibrated: Brier, ECE, AUROC   the networks' score")
    for name in lines:
        truth, sure = pairs(songs, name, lines[name])
        told = f"{_judged(truth, sure):30}   {_judged(*pairs(songs, name, None))}"
        print(f"{name:10} {int(truth.sum()):4} {int((1 - truth).sum()):7}   {told}")
    for what, of in (("all", lines), ("none", dict.fromkeys(lines))):
        both = [pairs(songs, name, line) for name, line in of.items()]
        truth, sure = (np.concatenate(column) for column in zip(*both, strict=True))
        print(f"{'all':10} {int(truth.sum()):4} {int((1 - truth).sum()):7}   {what} calibrated: {_judged(truth, sure)}")
    lists = [(named("instruments", song.scores), song) for song in songs if song.group != SOUNDS]
    firsts = [(song.shares.get(value.value[0], 0) > 0, value.confidence or 0) for value, song in lists if value.value]
    right, sure = (np.array(column, float) for column in zip(*firsts, strict=True))
    words = [song.shares.get(word, 0) > 0 for value, song in lists for word in value.value]
    there = sum(bool(song.has(name)) for _, song in lists for name in lines)
    hits = sum(bool(song.has(word)) for value, song in lists for word in value.value if word in lines)
    print(f"lists: {len(firsts)} of {len(lists)} name something; first word right {right.mean():.3f}, its confidence")
    print(f"{sure.mean():.3f} on average (Brier, ECE, AUROC {_judged(right, sure)}); of {len(words)} words")
    print(f"{np.mean(words):.3f} right; of {there} instruments that could be named {hits / there:.3f} are")


def main() -> None:
    """Fit on the development part, print the table of the test part, and perhaps write the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_places(parser)
    parser.add_argument(
        "--write", type=Path, help="put the lines there: annotation/calibration.yaml is what lists go by"
    )
    given = parser.parse_args()
    sources = Sources(tuple(given.sources))
    development = tagged(development_part(given.cache, sources, given.jobs).clips, given.cache, DEVELOPMENT_SECONDS)
    sounds, test_sounds = recorded(sources, given.cache)
    development += sounds
    lines = {name: fitted(development, name) for name in FITTED}
    text = f"# Made by tests/benchmarks/{Path(__file__).name} from {len(development)} songs and sounds.\ninstruments:\n"
    for name, line in lines.items():
        counts = Counter(song.has(name) for song in development)
        slopes = ", ".join(f"{network}: {slope}" for network, slope in line.slopes.items())
        text += f"  {name}: {{offset: {line.offset}, slopes: {{{slopes}}}}}"
        text += f"  # {counts[True]} songs with, {counts[False]} without\n"
    print(text)
    if given.write:
        write_text(given.write, text)
    test = untouched_part(given.cache, sources, given.jobs).clips
    tell(tagged(test, given.cache, SECONDS), lines)
    if test_sounds:
        told = f"calibrated {_judged(*pairs(test_sounds, 'drum', lines['drum']))}"
        print(f"drum in {len(test_sounds)} recorded sounds: {told}, score {_judged(*pairs(test_sounds, 'drum', None))}")


if __name__ == "__main__":
    main()
