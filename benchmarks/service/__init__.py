"""What the service costs: a driver beside bare Tune on a cluster, and the API over a large database."""
