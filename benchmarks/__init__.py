"""Measurements, and checks against other libraries, which the extra `bench` installs."""
