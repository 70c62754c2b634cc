"""The resource `experiments`: endpoints, their answers and their work."""
