"""Item response theory and adaptive evaluation."""
