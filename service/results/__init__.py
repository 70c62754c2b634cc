"""Results of an experiment's chains: the comparison of its arms, and how its search stands."""
