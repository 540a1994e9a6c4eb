"""Floor 1, the table everyone meets at: ids, schemas, journal, layout of a dataset, integrity."""
