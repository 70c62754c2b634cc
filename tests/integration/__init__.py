"""Tests of several components together."""
