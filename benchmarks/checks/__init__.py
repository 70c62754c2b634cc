"""Checks that our code agrees with other libraries, or with another form of itself."""
