"""Tables in the papers' layouts, with what the papers printed."""

import json

import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.trainer.paper_tables import ablation_table, as_csv, as_lines, as_markdown, paper_table, suspicions
from buscomp.trainer.papers import comparable, printed_of, printed_rows
from buscomp.trainer.registry import ROWS


def row(model, conditioning, setting, **figures):
    return {
        "model": model, "conditioning": conditioning, "params": 11697, "checkpoint": "runs/mine", "subset": None,
        "song_role": "unseen", "setting_role": setting, "split": f"test_{setting}", "takes": 3, **figures,
    }  # fmt: skip


def test_every_row_of_the_papers_is_there_and_every_row_of_table_2_is_a_model_of_ours():
    tables = [(printed.paper, printed.table) for printed in printed_rows()]
    counts = {table: tables.count(table) for table in dict.fromkeys(tables)}
    assert counts == {("A", "2"): 28, ("A", "3"): 8, ("A", "4"): 4, ("A", "5"): 9, ("B", "1"): 11}
    ours = set(ROWS)
    assert {(its.model, its.conditioning) for its in printed_rows() if its.table == "2"} <= ours
    state_space = {(its.model, its.conditioning) for its in printed_rows() if its.model.startswith("ssm")}
    assert len(state_space & ours) == 4
    assert printed_of("A", "2", "lstm-32", "tvconcat")["mstft_unseen"] == 0.4523
    assert printed_of("A", "234", "best static curve", None) == {}


def test_layout_a_has_seen_and_unseen_settings_of_unseen_songs_and_the_papers_beside_them():
    rows = [row("s4-4-4", "tvfilm", "seen", l1=0.01, mstft=0.5), row("s4-4-4", "tvfilm", "unseen", l1=0.02, mstft=0.6)]
    rows.append(rows[0] | {"song_role": "seen", "l1": 0.001})
    table = paper_table("a", rows, ["a note"])
    assert table.rows == (("s4-4-4", "tvfilm", 11697, 0.01, 0.02, 0.5, 0.6, 0.0283, 0.0237, 0.3898, 0.5842),)
    assert as_csv(table).splitlines()[1] == "s4-4-4,tvfilm,11697,0.01,0.02,0.5,0.6,0.0283,0.0237,0.3898,0.5842"
    assert as_markdown(table).endswith("\n\na note\n")
    heading, line, note = as_lines(table)
    assert heading.index("L1 seen") + len("L1 seen") == line.index("0.01") + len("0.01"), (
        "numbers end under their heading"
    )
    assert note == "a note"


def test_layout_b_says_that_frechet_distances_never_compare():
    its = row("ssm-c32-f4", "film", "seen", mae=0.01, mse=0.001, esr_dc=0.4, mstft=0.5, lufs_difference_db=0.3)
    table = paper_table("b", [its | {"frechet_distance": 2.0, "frechet_embedding": "musicnn 1"}])
    assert table.rows[0][3:10] == ("seen", 0.01, 0.001, 0.4, 0.5, 0.3, 2.0)
    assert table.rows[0][10:] == (8.737e-3, 2.879e-4, 4.065e-1, 4.881e-1, 4.766e-1, 3.921e-2)
    assert "musicnn 1" in table.notes[-1]
    assert "never comparable" in table.notes[-1]


def test_the_ablation_has_a_line_for_each_subset_even_before_it_is_evaluated():
    its = row("gcn-10-3", "tvfilm", "seen", l1=0.01, mstft=0.5) | {"subset": "5-songs-50-h"}
    table = ablation_table([its], {"100-songs-500-h": (100, 500.0), "5-songs-50-h": (5, 50.0)})
    assert table.rows[0] == (100, 500.0, None, None, None, None, 0.0272, 0.0226, 0.3238, 0.4456)
    assert table.rows[1][:6] == (5, 50.0, 0.01, None, 0.5, None)


def test_what_fakes_or_ruins_figures_is_said_in_words():
    fine = row("s4-4-4", "tvfilm", "seen", esr=0.1, polarity=1.0, lag_samples=0.01, gain_offset_db=0.2)
    assert suspicions([fine]) == []
    (told,) = suspicions([fine | {"polarity": -1.0, "esr": 3.97, "lag_samples": 10.0, "gain_offset_db": -2.0}])
    for words in ("is inverted (ESR 3.97)", "lags by 10.00 samples", "2.0 dB too soft"):
        assert words in told
    assert suspicions([row("output = input", None, "seen", gain_offset_db=4.0) | {"params": 0}]) == [], (
        "that is its job"
    )


def test_figures_compare_only_on_the_recordings_they_are_of(tmp_path):
    dataset = Dataset(tmp_path)
    assert "other recordings" in comparable(dataset, "A")
    (tmp_path / "import.json").write_text(json.dumps({"source": "Solid State Bus-Comp"}))
    assert "the same recordings" in comparable(dataset, "A")
    assert "other recordings" in comparable(dataset, "B")
    (tmp_path / "import.json").write_text("[")
    with pytest.raises(DatasetError, match=r"import\.json is damaged"):
        comparable(dataset, "A")
