"""Training one stage: its parts, its epochs, and both as one call."""
