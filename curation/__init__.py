"""Floor 2: catalog, split, reports."""
