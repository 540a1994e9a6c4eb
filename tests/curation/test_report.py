"""The page shows what is there, and cannot be made to run anything."""

from __future__ import annotations

import base64
import csv
import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.curation.drawing import Figure
from buscomp.curation.report import gather, report
from buscomp.curation.split import split
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.tables import write_table

EVIL = '<script>alert("$\\frac{")</script>'


def change_songs(dataset: Dataset, **columns: object) -> Dataset:
    """The dataset with `columns` in its first song."""
    rows = dataset.rows("songs")
    rows[0] |= columns
    write_table(dataset.table_path("songs"), "songs", rows)
    return Dataset(dataset.root)


def add_results(dataset: Dataset) -> Dataset:
    rows = [
        {"model": model, "params": params, "split": name, "takes": 2, "l1": error / 5, "mae": error / 5, "esr": error}
        | {"mstft": 1 + error, "lufs_difference_db": -error if model == "s4" else error, "conditioning": conditioning}
        for name in ("test_seen", "test_unseen")
        for model, conditioning, params, error in (("input", None, 0, 0.5), ("s4", "tvfilm", 1234, 0.0321))
    ]
    write_table(dataset.table_path("results"), "results", rows)
    return dataset


def reject_one(dataset: Dataset) -> Dataset:
    """The first take superseded, its second attempt rejected; a third is planned."""
    with dataset.journal() as journal:
        again = journal.supersede(journal.takes()[0]["take_id"], "lost")
        journal.reject(
            again, {"reasons": ["drift", "=HYPERLINK(1)"], "latency_samples": 900.0, "session_id": "session-1"}
        )
        dataset.snapshot(journal)
    return Dataset(dataset.root)


def annotate(dataset: Dataset) -> Dataset:
    """Tempo, key, genres and instruments of all three songs."""
    genres = (["rock", "pop"], ["rock"], ["folk"])
    rows = [
        {
            "song_id": song["song_id"],
            "dry_sha256": song["dry_sha256"],
            "tempo_bpm": 100.0 + 10 * place,
            "key": "C major",
        }
        | {"genres": genres[place], "genres_backend": "tests", "instruments": ["piano"], "instruments_backend": "tests"}
        for place, song in enumerate(dataset.rows("songs"))
    ]
    write_table(dataset.table_path("annotations"), "annotations", rows)
    return Dataset(dataset.root)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words and numbers: drawing takes most of the time."""
    monkeypatch.setattr(Figure, "svg", "<svg></svg>")


def page_of(dataset: Dataset) -> str:
    return report(dataset).page.read_text()


def images(page: str) -> list[str]:
    """The drawings inside the page."""
    return [base64.b64decode(found).decode() for found in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]


def headings(page: str) -> list[str]:
    return re.findall(r"<h2 id=\"\w+\">(.*?)</h2>", page)


def test_a_whole_dataset_shows_every_section_and_its_figures(dataset: Dataset) -> None:
    split(dataset)
    (dataset.root / "runs" / "s4").mkdir(parents=True)
    lines = [json.dumps({"step": step, "loss": 1 / (step + 1), "seconds": 0.1}) for step in range(20)]
    (dataset.root / "runs" / "s4" / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 20, "lo')
    page = page_of(reject_one(add_results(dataset)))
    assert headings(page) == [
        "What the unit does",
        "Settings",
        "Songs",
        "Split",
        "Models beside the trivial answers",
        "Capture",
        "Beside published datasets",
        "Where it comes from",
        "Not here yet",
    ]
    assert all(f'<a href="#{name}">' in page for name in re.findall(r'<h2 id="(\w+)">', page))
    assert "SSL 500-series bus compressor" in page
    assert "<b>3</b><span>songs" in page
    assert "<b>4</b><span>settings: 2 grid, 2 random" in page
    assert "<b>11</b><span>takes accepted, 1 to do" in page
    assert "Drawn with seed 1." in page
    drawn = images(page)
    assert len(drawn) == 13
    assert any(">s4 tvfilm</text>" in svg and ">input</text>" in svg for svg in drawn)
    assert all(svg.startswith("<svg") and svg.rstrip().endswith("</svg>") for svg in drawn)


def test_what_is_missing_is_left_out(tmp_path: Path, dataset: Dataset) -> None:
    bare = Dataset(tmp_path / "bare")
    write_table(bare.table_path("songs"), "songs", dataset.rows("songs"))
    page = page_of(bare)
    assert headings(page) == ["Songs", "Where it comes from", "Not here yet"]
    assert "Nothing is captured: <code>buscomp capture</code> does it." in page
    assert "No song has tempo: <code>buscomp annotate</code> writes it" in page
    assert images(page) == []
    assert "takes accepted" not in page
    assert "nan" not in page.lower().replace("nano", "")


def test_a_title_with_a_script_comes_out_as_text_and_the_page_needs_no_network(dataset: Dataset) -> None:
    dataset = change_songs(dataset, title=EVIL, artist=EVIL, source=EVIL, license=EVIL, loudness_lufs=-20.0)
    page = page_of(dataset)
    assert "&lt;script&gt;alert(" in page
    assert "<script" not in page
    assert all("<script" not in svg for svg in images(page))
    assert any("$\\frac{" in svg for svg in images(page))
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:|#)|https?:|@import|url\(", page)
    assert "default-src 'none'" in page


@pytest.mark.usefixtures("undrawn")
def test_a_rejected_take_is_listed_with_its_reasons_and_what_followed(dataset: Dataset) -> None:
    assert "No take was rejected" in page_of(dataset)
    rejected = gather(reject_one(dataset))["rejected"]
    assert [(take["take_id"], take["reasons"], take["outcome"]) for take in rejected] == [
        ("t000000-2", ["drift", "=HYPERLINK(1)"], "planned again")
    ]
    assert "drift; =HYPERLINK(1)" in page_of(Dataset(dataset.root))


@pytest.mark.usefixtures("undrawn")
def test_cells_that_a_spreadsheet_would_run_get_a_quote(dataset: Dataset) -> None:
    dataset = change_songs(reject_one(dataset), title="=1+1", artist="@SUM", source="-2", loudness_lufs=-20.0)
    tables = report(dataset).data
    with next(path for path in tables if path.name == "songs.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["title"], first["artist"], first["source"]) == ("'=1+1", "'@SUM", "'-2")
    assert first["loudness_lufs"] == "-20.0"
    with next(path for path in tables if path.name == "rejected.csv").open() as file:
        assert next(csv.DictReader(file))["reasons"] == "drift; =HYPERLINK(1)"


@pytest.mark.usefixtures("undrawn")
def test_the_best_figure_of_each_column_and_no_other_is_bold(dataset: Dataset) -> None:
    page = page_of(add_results(dataset))
    best = re.findall(r'<td class="n best">(.*?)</td>', page)
    assert best == ["0.00642", "0.0321", "1.03", "−0.0321"] * 2


def test_the_split_matrix_counts_pairs_and_captured_ones(dataset: Dataset) -> None:
    split(dataset)
    rows = {row["split"]: row for row in gather(reject_one(dataset))["cells"]["rows"]}
    assert {name: row["pairs"] for name, row in rows.items()} == {
        "train": 4,
        "test_seen": 2,
        "test_unseen": 2,
        "unused": 4,
    }
    assert sum(row["captured"] for row in rows.values()) == 11


def test_gain_reduction_by_control_goes_in_the_order_of_the_panel(dataset: Dataset) -> None:
    data = gather(dataset)["figures"]["gain_reduction_by_control"].data
    threshold = data[data["control"] == "threshold_db"]
    assert list(threshold["position"]) == ["-28", "-20", "-12"]
    assert list(data["control"].unique()) == ["threshold_db", "attack_ms"]


def test_the_gain_trace_of_a_take_reads_its_static_change(dataset: Dataset) -> None:
    rows = dataset.rows("takes")
    rows[5] |= {"gain_reduction_mean_db": 9.0, "static_gain_db": 0.0}  # wet is dry at -2 dB
    write_table(dataset.table_path("takes"), "takes", rows)
    figure = gather(Dataset(dataset.root))["figures"]["take"]
    assert rows[5]["setting_id"] in figure.caption
    assert figure.data["gain_db"].dropna().to_numpy() == pytest.approx(-2.0, abs=0.01)


def test_the_page_can_be_made_when_the_audio_is_elsewhere(dataset: Dataset) -> None:
    for path in dataset.root.glob("wet/*/*.flac"):
        path.unlink()
    assert "take" not in gather(dataset)["figures"]


def test_the_page_and_the_data_go_where_they_are_asked_to(dataset: Dataset, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["report", "--dataset", str(dataset.root), "--output", str(tmp_path / "a" / "b.html")]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a" / "b.html").stat().st_size > 20_000
    assert not (dataset.root / "report.html").exists()
    alignment = pd.read_csv(tmp_path / "a" / "report-data" / "alignment.csv")
    assert list(alignment["latency_samples_median"]) == [137.25] * 12
    assert not (tmp_path / "a" / "report-figures").exists()


def test_an_empty_folder_of_manifests_gives_a_page_that_says_what_comes_first(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    made = report(Dataset(tmp_path))
    page = made.page.read_text()
    assert "There are no accepted songs: <code>buscomp catalog songs</code> makes them." in page
    assert (made.data, images(page)) == ([], [])


@pytest.mark.usefixtures("undrawn")
def test_a_plan_without_a_take_shows_where_the_settings_stand_and_nothing_that_was_measured(dataset: Dataset) -> None:
    planned = ("take_id", "song_id", "setting_id", "unit_id", "attempt", "sequence")
    rows = [{name: row[name] for name in planned} | {"status": "planned"} for row in dataset.rows("takes")]
    write_table(dataset.table_path("takes"), "takes", rows)
    write_table(dataset.table_path("sessions"), "sessions", [])
    assert list(gather(Dataset(dataset.root))["figures"]) == ["coverage"]
    assert "<b>0</b><span>takes accepted, 12 to do" in page_of(Dataset(dataset.root))


@pytest.mark.usefixtures("undrawn")
def test_every_figure_has_a_title_a_caption_with_numbers_and_a_description_for_who_cannot_see_it(
    dataset: Dataset,
) -> None:
    page = page_of(annotate(reject_one(add_results(dataset))))
    found = re.findall(
        r'<figure>\n<h3>(.+?)</h3>\n<div.*?><img src="data:.*? alt="(.+?)"></div>\n<figcaption>(.+?) <', page
    )
    drawn = gather(Dataset(dataset.root))["figures"]
    assert [title for title, _, _ in found] == [html.escape(title_of) for title_of in order_of(page, drawn)]
    assert len(found) == len(drawn) == 17
    for title, alt, caption in found:
        assert re.search(r"\d", caption), title
        assert len(alt) > 40, title
        assert alt != caption, title


def order_of(page: str, drawn: dict[str, Figure]) -> list[str]:
    """Titles in the order in which the page shows the figures."""
    return [figure.title for figure in sorted(drawn.values(), key=lambda f: page.index(f"report-data/{f.name}.csv"))]


@pytest.mark.usefixtures("undrawn")
def test_each_figure_has_the_numbers_it_draws_as_csv(dataset: Dataset) -> None:
    dataset = annotate(reject_one(add_results(dataset)))
    made = report(dataset)
    written = {path.stem: path for path in made.data}
    for name, figure in gather(dataset)["figures"].items():
        with written[name].open() as file:
            read = list(csv.DictReader(file))
        assert len(read) == len(figure.data), name
        assert set(figure.data.columns) <= set(read[0]), name


def test_a_rejected_take_is_told_by_reason_by_session_and_one_by_one(dataset: Dataset) -> None:
    content = gather(reject_one(dataset))
    assert [(row["reason"], row["takes"]) for row in content["rejections"]] == [("=HYPERLINK(1)", 1), ("drift", 1)]
    (session,) = content["sessions"]
    told = {name: session[name] for name in ("takes", "accepted", "rejected", "superseded", "alarms", "overridden")}
    assert told == {"takes": 13, "accepted": 11, "rejected": 1, "superseded": 1, "alarms": 3, "overridden": 0}


@pytest.mark.usefixtures("undrawn")
def test_only_the_first_rejected_takes_are_named_when_there_are_very_many_but_the_csv_has_all(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buscomp.curation.report.LISTED_UP_TO", 2)
    rows = [row | {"status": "rejected", "reasons": ["xrun"]} for row in dataset.rows("takes")]
    write_table(dataset.table_path("takes"), "takes", rows)
    made = report(Dataset(dataset.root))
    page = made.page.read_text()
    assert "The first 2 of 12 in the order of the plan; every one is in" in page
    assert page.count(">open</td>") == 2
    (path,) = (path for path in made.data if path.stem == "rejected")
    assert pd.read_csv(path)["outcome"].to_list() == ["open"] * 12


@pytest.mark.usefixtures("undrawn")
def test_annotations_of_other_audio_are_left_out_and_the_page_says_so(dataset: Dataset) -> None:
    annotate(dataset)
    page = page_of(change_songs(dataset, dry_sha256="f" * 64))
    assert "Annotations of 1 of 3 songs are of other audio and left out" in page
    assert "2 songs from 110.0 to 120.0 BPM" in page


def test_png_and_pdf_of_every_figure_are_written_when_asked_for(dataset: Dataset) -> None:
    annotate(dataset)
    for name in ("takes", "settings", "sessions", "fingerprints"):
        dataset.table_path(name).unlink()
    done = CliRunner().invoke(main, ["report", "--dataset", str(dataset.root), "--figures", "--json"])
    assert done.exit_code == 0, done.output
    written = [Path(path) for path in json.loads(done.output)["figures"]]
    names = ["hours_by_genre", "hours_by_instrument", "tempo", "keys", "spread"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    assert {path.parent for path in written} == {dataset.root / "report-figures"}


@pytest.mark.usefixtures("undrawn")
def test_what_the_catalog_suspects_of_the_songs_is_told_above_them(dataset: Dataset) -> None:
    rows = dataset.rows("songs")
    rows[0] |= {"mastering": "mastered", "mastering_signs": ["+2 a", "+1 b"], "spectral_wall_hz": 16_000.0}
    rows[1] |= {"redistributable": False, "duplicate_of": "song-0", "acoustic_fingerprint": "A" * 5000}
    rows[2] |= {"redistributable": True, "mastering": "unmastered"}
    write_table(dataset.table_path("songs"), "songs", rows)
    made = report(Dataset(dataset.root))
    page = made.page.read_text()
    for sentence in (
        "1 song looks mastered.",
        "1 song seems to come from a lossy coder.",
        "1 song repeats the recording of another.",
        "No export may hold 1 song.",
    ):
        assert sentence in page
    (songs,) = (path for path in made.data if path.stem == "songs")
    assert pd.read_csv(songs)["mastering_signs"].to_list()[0] == "'+2 a; +1 b"
    assert songs.stat().st_size < 3000
