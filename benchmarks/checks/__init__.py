"""Checks that our code agrees with that of others, or with itself."""
