"""Extraction: from what a model wrote to what it answered."""
