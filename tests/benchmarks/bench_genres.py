"""How far genres can be trusted on real music: musicnn against what the makers of free games' music wrote into it.

    apt-get download wesnoth-1.16-music widelands-data naev-data freedroidrpg-data flare-game redeclipse-data \
        supertuxkart-data megaglest-data unknown-horizons warmux-data; for each: dpkg -x PACKAGE.deb UNPACKED
    python tests/benchmarks/bench_genres.py UNPACKED [UNPACKED ...]

Truth is the GENRE comment of Ogg files of 30 s and more, where it is a word of our vocabulary ("Soundtrack" and "Game"
are none); of each file the first two minutes are heard. These are few, and most of them are one kind of music: enough
to see whether the networks' scores are far from probabilities, not enough to fit lines to. Nothing is fitted here.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from buscomp.annotation.backend import Value
from buscomp.annotation.musicnn import hear, named
from buscomp.annotation.vocabulary import label_of
from buscomp.tests.benchmarks.calibrate_tags import calibration_error

SHORTEST_S, HEARD_S = 30, 120
SPELLED = {"romantic classical": "classical", "classique": "classical", "trash metal": "metal", "ambiance": "ambient"}


def genre_of(path: Path) -> str | None:
    """The label of what its maker calls the music; None where that is none, or the file is short or unreadable."""
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError:
        return None
    with file:
        told = file.copy_metadata().get("genre", "").strip().lower()
        return label_of("genres", SPELLED.get(told, told)) if file.frames >= SHORTEST_S * file.samplerate else None


def genres(path: Path) -> Value:
    """What musicnn says of it."""
    rate = soundfile.info(path).samplerate
    heard = hear(soundfile.read(path, frames=HEARD_S * rate, dtype="float32", always_2d=True)[0], rate)
    assert heard is not None, f"{path} is silent"
    return named("genres", {network: tags.mean(axis=0) for network, tags in heard.scores.items()})


def main(folders: list[str]) -> None:
    """Hear all, and print how often the first word is right, and what scores are worth as probabilities."""
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.ogg"))
    told = [(truth, genres(path)) for path in paths if (truth := genre_of(path))]
    if not told:
        print("left out: no track whose maker names its genre; name the folders where packages were unpacked")
        return
    firsts = Counter((truth, value.value[0] if value.value else "nothing") for truth, value in told)
    for (truth, first), count in sorted(firsts.items()):
        print(f"{truth:12} heard as {first:12} {count}")
    right = np.array([bool(value.value) and value.value[0] == truth for truth, value in told], float)
    sure = np.array([value.confidence or 0.0 for _, value in told])
    words = [(word == truth, score) for truth, value in told for word, score in value.candidates]
    so, scores = (np.array(column, float) for column in zip(*words, strict=True))
    for what, these, those in (("first word", right, sure), ("all words", so, scores)):
        area = roc_auc_score(these, those)
        print(
            f"{what}: {len(these)}, right {these.mean():.3f}, confidence {those.mean():.3f} on average, "
            f"Brier {np.mean((these - those) ** 2):.3f}, ECE {calibration_error(these, those):.3f}, AUROC {area:.3f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
