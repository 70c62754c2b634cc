"""Checks that ours and others' code agree."""
