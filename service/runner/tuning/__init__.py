"""Everything that faces Ray Tune: the start, the order and the end of its trials."""
