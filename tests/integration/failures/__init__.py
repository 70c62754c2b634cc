"""Tests of failures, on one stack on which everything fails."""
