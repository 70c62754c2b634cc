"""The answers of the API, as it writes them and the command line reads them: models of pydantic, without the web."""
