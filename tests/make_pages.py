"""Writes the pages that repeat what the code says: `python tests/make_pages.py [INTO]`. A test compares them.

reference/dataset.md    every column of every table, from the schema
reference/cli.md        what every verb answers to --help
decisions/index.md      title and status of every decision
how-to/trainer.md       the programs of docs/examples
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from buscomp.cli import SECTIONS, VERBS, main
from buscomp.manifests.schema import SCHEMA_VERSION, TABLES, setting_columns
from buscomp.manifests.unit import load_unit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ROWS = {
    "songs": "song",
    "settings": "setting; one column per control of the unit, here those of `ssl-500-bus`",
    "takes": "attempt",
    "sessions": "run of the daemon",
    "fingerprints": "probe of a setting",
    "annotations": "song",
    "segments": "10 s of a song, once for each backend that described it",
    "references": "item of a set that stands beside the songs in the figure of diversity, for each backend",
    "splits": "song x setting, and once more for a unit that is held out",
    "subsets": "window of a training take",
    "results": "model x cell of {seen, unseen song} x {seen, unseen setting}",
    "results_takes": "model x take",
}
HEAD = """# A dataset on disk

```
my-dataset/
  songs/                             what you drop in (read only)
  dry/<song_id>.flac                 exactly what is sent, before the +5 dB boost: 44.1 kHz, 24-bit, peak -12 dBFS
  wet/<setting_id>/<song_id>.flac    accepted takes: same frames as dry, sample-aligned, after the -5 dB trim;
                                     with several units wet/<unit_id>/<setting_id>/<song_id>.flac
  cv/...                             the gain-control voltage beside each take, where it is recorded, DC and all
  fingerprints/<id>.flac             what came back for the test signal that proves a setting
  attempts/<take_id>/                a take in progress or rejected: what came back (WAV), and why it does not count
  manifests/*.parquet                the tables below; derived, can always be rebuilt
  journal.sqlite                     the truth about takes; journal.backup.sqlite is a copy after the last pass
  calibration.json                   what `buscomp calibrate` measured
  logs/<session_id>.jsonl            what each session did, a JSON object a line
  grid.yaml  unit.yaml               what was planned, on which unit
  annotations.csv                    what a person knows better than the annotators; yours, never written
  runs/<name>/                       trained models
  .cache/audio/                      decoded audio that training reads; may be deleted at any time
  import.json                        of an imported dataset: where it comes from, and what was left out
  .verified.sqlite                   what `buscomp verify` has found right so far; may be deleted at any time
```

Ids hold lower-case letters, digits, `_` and `-`, never a dot. Tables join on ids, never on row position. Paths are
relative to the dataset and never leave it. A hash is the SHA-256 of the samples, not of the file:
`hashlib.sha256(soundfile.read(path, dtype="int32")[0].tobytes()).hexdigest()`.

Each Parquet file carries the schema version ({version}) and the writer's version in its metadata, and each column its
unit and meaning. This page is written from the same source, `manifests/schema.py`.
"""


CLI_HEAD = """# Command line

What every verb answers to `--help`, by the way of the data. Each has a page of its own that says what happens and why.
"""
DECISIONS_HEAD = """# Decisions

Choices that are dear to change, each with its context and what follows from it. A new one gets the next number; one
that no longer holds keeps its page and says what replaced it.

| decision | status |
|---|---|
"""


def dataset_page() -> str:
    """Every table with its columns."""
    unit = load_unit(ROOT / "capture" / "ssl-500-bus.yaml")
    parts = [HEAD.format(version=SCHEMA_VERSION)]
    for table, columns in TABLES.items():
        if table == "settings":
            columns = setting_columns(unit)
        parts.append(
            f"\n## {table}\n\nOne row per {ROWS[table]}.\n\n| column | type | unit | meaning |\n|---|---|---|---|\n"
        )
        parts += [f"| {c.name} | {c.type} | {c.unit} | {c.meaning} |\n" for c in columns]
    return "".join(parts)


def cli_page() -> str:
    """`buscomp --help`, then that of every verb."""

    def told(*words: str) -> str:
        answer = CliRunner().invoke(main, [*words, "--help"], prog_name="buscomp", terminal_width=100)
        return f"```text\n{answer.output.rstrip()}\n```\n"

    parts = [CLI_HEAD, "\n", told()]
    for verb in VERBS:
        if verb in SECTIONS:
            parts.append(f"\n## {SECTIONS[verb]}\n")
        parts.append(f"\n### {verb}\n\n[What it does](../verbs/{verb}.md)\n\n{told(verb)}")
    return "".join(parts)


def decisions_page() -> str:
    """A row for each decision."""
    rows = []
    for path in sorted((DOCS / "decisions").glob("0*.md")):
        text = path.read_text()
        title, status = re.search(r"^# (.*)$", text, re.M), re.search(r"^Status: (.*?)$", text, re.M)
        assert title, path
        assert status, path
        rows.append(f"| [{title[1]}]({path.name}) | {status[1].rstrip('.')} |\n")
    return DECISIONS_HEAD + "".join(rows)


def trainer_page() -> str:
    """The page as it stands, with the programs of `docs/examples` in it."""

    def program(match: re.Match[str]) -> str:
        return f"<!-- file: {match[1]} -->\n```python\n{(DOCS / 'examples' / match[1]).read_text()}```\n"

    block = re.compile(r"^<!-- file: (\S+\.py) -->\n```python\n.*?^```\n", re.M | re.S)
    return block.sub(program, (DOCS / "how-to" / "trainer.md").read_text())


PAGES: dict[str, Callable[[], str]] = {
    "reference/dataset.md": dataset_page,
    "reference/cli.md": cli_page,
    "decisions/index.md": decisions_page,
    "how-to/trainer.md": trainer_page,
}


if __name__ == "__main__":
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    for name, page in PAGES.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_text(page())
