"""Results from an experiment's chains: the comparison of its arms, and the progress, choice and front of its search."""
