"""Recordings of event cameras, read or simulated, and the frames that are made of them for a network."""
