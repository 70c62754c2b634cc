"""The cost of an experiment's answer: its time in a run of the demo, its latency, and the growth of the database."""
