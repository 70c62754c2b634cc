"""The check of an experiment's configurations: made on a node, once a generation, before its first trial trains."""
