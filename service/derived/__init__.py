"""New specs from stored ones: a fork, a rerun of a search's choice, a spec with other resources."""
