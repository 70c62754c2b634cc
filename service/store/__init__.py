"""The database: tables, migrations, and the repository, which holds every query."""
