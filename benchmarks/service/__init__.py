"""The cost of the service: a driver compared with bare Tune on a cluster, and the API over a large database."""
