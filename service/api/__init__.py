"""The REST API. Only this package imports FastAPI; it does not load torch."""
