"""`tet`: the command line, a client of the API, and the keeper of a local stack."""
