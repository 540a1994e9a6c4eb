"""The page of the tables is the schema."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).with_name("make_dataset_page.py")


def test_the_page_of_the_tables_is_what_the_schema_says():
    script = runpy.run_path(str(SCRIPT))
    assert script["PAGE"].read_text() == script["page"](), "run `python tests/make_dataset_page.py`"
