"""The API over 10,000 experiments and 1,000,000 stage rows on PostgreSQL, asked 50 times a second; its reconciler too."""
