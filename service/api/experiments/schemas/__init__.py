"""Answers of the endpoints of experiments. They need pydantic alone, so that the command line can read them too."""
