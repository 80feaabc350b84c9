"""The command line: a thin layer on `lmms.api`. Nobody imports this package."""
