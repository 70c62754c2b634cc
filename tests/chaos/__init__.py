"""Faults against a real stack: `python -m tests.chaos`, or `make test-chaos`."""
