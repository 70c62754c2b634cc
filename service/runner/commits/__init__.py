"""A stage's folder: the records that attempts commit there, the writing and the reading of them."""
