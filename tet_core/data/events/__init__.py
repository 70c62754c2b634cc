"""Recordings of event cameras, read from files or simulated, and the frames that a network gets from them."""
