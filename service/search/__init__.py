"""The search: the values of a spec that are tried for each arm."""
