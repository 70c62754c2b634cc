"""The resource `experiments`: endpoints, what they answer, and what they do."""
