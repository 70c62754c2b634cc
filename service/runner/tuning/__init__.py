"""Everything that faces Ray Tune: which trials it runs, and when they stop."""
