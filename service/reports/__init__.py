"""The report of an experiment as a page, as text and as tables. Nothing here reads the database."""
