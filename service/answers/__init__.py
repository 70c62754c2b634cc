"""Pydantic models of the API's responses, shared by the API and the command line. They import no web framework."""
