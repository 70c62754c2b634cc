"""Searching: which numbers of a spec are tried for each arm, and at which values."""
