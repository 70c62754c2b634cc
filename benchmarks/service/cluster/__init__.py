"""A driver with 1,000 chains on a cluster of 64 logical GPUs, beside bare Tune on the same nodes."""
