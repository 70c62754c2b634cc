"""What a training step takes, in time and in memory, beside the plain convolutions and other libraries."""
