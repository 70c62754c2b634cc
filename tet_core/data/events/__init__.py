"""Recordings of event cameras, read or simulated, and the frames that a network gets of them."""
