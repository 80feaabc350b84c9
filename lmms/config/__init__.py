"""Configuration: compose with Hydra, validate once with a typed schema, then plain data."""
