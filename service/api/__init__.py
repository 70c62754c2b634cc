"""The REST API. FastAPI lives here alone; nothing here loads torch."""
