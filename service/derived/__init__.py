"""New specs from stored ones: a fork, a rerun of the best, other resources."""
