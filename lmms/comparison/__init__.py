"""Two runs beside each other: pairing, tests, gates."""
