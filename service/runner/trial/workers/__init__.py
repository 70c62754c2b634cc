"""The workers of a trial that trains on several devices."""
