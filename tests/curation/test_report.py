"""The page shows what is there, and cannot be made to run anything."""

from __future__ import annotations

import base64
import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from buscomp.cli import main
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


def page_of(dataset: Dataset) -> str:
    return report(dataset)[0].read_text()


def images(page: str) -> list[str]:
    """The drawings inside the page."""
    return [base64.b64decode(found).decode() for found in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_a_whole_dataset_shows_every_section_and_its_figures(dataset: Dataset) -> None:
    split(dataset)
    (dataset.root / "runs" / "s4").mkdir(parents=True)
    lines = [json.dumps({"step": step, "loss": 1 / (step + 1), "seconds": 0.1}) for step in range(20)]
    (dataset.root / "runs" / "s4" / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 20, "lo')
    page = page_of(reject_one(add_results(dataset)))
    assert headings(page) == [
        "What the unit does",
        "Models beside the trivial answers",
        "Songs",
        "Split",
        "Capture",
        "Where it comes from",
    ]
    assert "SSL 500-series bus compressor" in page
    assert "<b>3</b><span>songs" in page
    assert "<b>4</b><span>settings: 2 grid, 2 random" in page
    assert "<b>11</b><span>takes accepted, 1 to do" in page
    assert "Drawn with seed 1." in page
    drawn = images(page)
    assert len(drawn) == 7
    assert any(">s4 tvfilm</text>" in svg and ">input</text>" in svg for svg in drawn)
    assert all(svg.startswith("<svg") and svg.rstrip().endswith("</svg>") for svg in drawn)


def test_what_is_missing_is_left_out(tmp_path: Path, dataset: Dataset) -> None:
    bare = Dataset(tmp_path / "bare")
    write_table(bare.table_path("songs"), "songs", dataset.rows("songs"))
    page = page_of(bare)
    assert headings(page) == ["Songs", "Where it comes from"]
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
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:)|https?:|@import|url\(", page)


def test_a_rejected_take_is_listed_with_its_reasons_and_what_followed(dataset: Dataset) -> None:
    assert "No take was rejected" in page_of(dataset)
    rejected = gather(reject_one(dataset))["rejected"]
    assert [(take["take_id"], take["reasons"], take["outcome"]) for take in rejected] == [
        ("t000000-2", ["drift", "=HYPERLINK(1)"], "planned again")
    ]
    assert "drift; =HYPERLINK(1)" in page_of(Dataset(dataset.root))


def test_cells_that_a_spreadsheet_would_run_get_a_quote(dataset: Dataset) -> None:
    dataset = change_songs(reject_one(dataset), title="=1+1", artist="@SUM", source="-2", loudness_lufs=-20.0)
    _, tables = report(dataset)
    with next(path for path in tables if path.name == "songs.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["title"], first["artist"], first["source"]) == ("'=1+1", "'@SUM", "'-2")
    assert first["loudness_lufs"] == "-20.0"
    with next(path for path in tables if path.name == "rejected.csv").open() as file:
        assert next(csv.DictReader(file))["reasons"] == "drift; =HYPERLINK(1)"


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
    assert list(alignment["latency_samples"]) == [137.25] * 12
