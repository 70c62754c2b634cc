"""Experiments that come with the service: one for each table and figure of the paper, and a small twin of each."""
