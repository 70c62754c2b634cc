"""The API and its reconciler over 10,000 experiments and 1,000,000 stage rows on PostgreSQL."""
