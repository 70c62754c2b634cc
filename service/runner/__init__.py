"""What runs on the cluster: the driver, the chain searcher, the trial, the stage folder, the outbox to MLflow."""
