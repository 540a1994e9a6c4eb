"""Floor 2: songs x settings -> takes, through hardware."""
