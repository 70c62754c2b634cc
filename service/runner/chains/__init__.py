"""The chains of an experiment as its driver knows them, and the search that decides about them."""
