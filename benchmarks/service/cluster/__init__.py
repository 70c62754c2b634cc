"""A driver with 1,000 chains on a cluster of 64 logical GPUs, compared with bare Tune on the same nodes."""
