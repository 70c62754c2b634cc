"""What the service remembers: tables, migrations, and the one class that holds every query."""
