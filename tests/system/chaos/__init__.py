"""Faults against a real stack: `python -m tests.system.chaos`, or `make test-chaos`."""
