"""How each format is read: the part of an export's README.md that a stranger needs first."""

from __future__ import annotations

_HUGGINGFACE = """
```python
import io, datasets, soundfile

takes = datasets.load_dataset("PATH", "SPLIT", split="SPLIT")     # one configuration a split; streaming=True works
for kind in KINDS:
    takes = takes.cast_column(kind, datasets.Audio(decode=False))
wet, sample_rate = soundfile.read(io.BytesIO(takes[0]["wet"]["bytes"]))   # (frames, channels), stereo
```

Take the bytes, as above. With decoding on (which needs torchcodec, and fails without it) `row["wet"]["array"]` is the
mean of both channels; `row["wet"].get_all_samples().data` is stereo. `manifests/` holds the tables, rejected attempts
included.
"""
_SONGS = """
The dry audio lies once, not in every take: `load_dataset("PATH", "songs", split="songs")` has `song_id` and `dry`.
"""
_WEBDATASET = """
```python
import io, soundfile, webdataset

def flac(key, data):
    if key.endswith(".flac"):
        return soundfile.read(io.BytesIO(data), dtype="float32")      # (frames, channels), sample rate

for sample in webdataset.WebDataset("SPLIT/SPLIT-000000.tar", shardshuffle=False).decode(flac):
    (dry, sample_rate), (wet, _), take = sample["dry.flac"], sample["wet.flac"], sample["json"]
```

The key is the take_id. Takes are in shuffled order. `shards.json` in each folder lists the shards and their samples.
`manifests/` holds the tables, rejected attempts included.
"""
_CROISSANT = """
```python
import io, mlcroissant, soundfile

dataset = mlcroissant.Dataset("croissant.json")
for take in dataset.records("takes"):                   # every measured column; text comes as bytes
    print(take["takes/take_id"].decode(), take["takes/latency_samples"])
for take in dataset.records("audio_SPLIT"):
    wet, sample_rate = soundfile.read(io.BytesIO(take["audio_SPLIT/wet"]))
```

The Parquet files in `data/` are also a Hugging Face dataset: `datasets.load_dataset("PATH", "SPLIT")`.
"""
_JAMS = """
```python
import jams

song = jams.load("SONG_ID.jams")
tempo = song.annotations.search(namespace="tempo")[0].data[0].value
```

No audio is in it. `identifiers.dry_sha256` names the audio that was listened to.
"""
_BAGIT = """
`bagit.py --validate PATH` (or `bagit.Bag(PATH).validate()`) proves that every file is what it was. `data/` is a
dataset:

```python
import buscomp

for dry, wet, setting in buscomp.open_dataset("PATH/data").pairs("train"):     # (frames, channels) float32
    ...
```
"""
READING = {
    "huggingface": _HUGGINGFACE,
    "webdataset": _WEBDATASET,
    "croissant": _CROISSANT,
    "jams": _JAMS,
    "bagit": _BAGIT,
}


def reading(format: str, split: str, dry_once: bool) -> str:
    """The text for `format`, with the name of a split that there is."""
    text = READING[format].replace("SPLIT", split).replace("KINDS", '("wet",)' if dry_once else '("dry", "wet")')
    return text + _SONGS if dry_once else text
