"""Tests of whole experiments, on one stack."""
