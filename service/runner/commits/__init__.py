"""A stage's folder: the records that attempts commit there, how an attempt writes them, and how they are read."""
