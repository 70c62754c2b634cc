"""Documents that a user sends, JSON or YAML, read safely into plain data."""
