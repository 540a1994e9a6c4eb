"""Floor 2: key and tempo of the songs."""
