"""`tet`, the command line: a client of the API, which also starts and ends a local stack."""
