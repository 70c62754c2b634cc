"""The search: which values of a spec are tried for each arm."""
