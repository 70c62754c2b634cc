"""Measurements and checks against others' libraries, which the extra `bench` installs."""
