"""Results of an experiment's chains: the comparison of its arms, and the progress and choice of its search."""
