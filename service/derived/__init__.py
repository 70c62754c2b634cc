"""New specs from stored ones: a fork, a rerun of what a search chose, other resources."""
