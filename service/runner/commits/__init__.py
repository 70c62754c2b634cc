"""What attempts commit to a stage's folder, and how it is read."""
