"""The level of all tests of an experiment together."""

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
