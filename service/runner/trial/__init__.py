"""A trial: one attempt at one stage, as a Ray actor."""
