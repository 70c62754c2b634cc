"""The code that runs on the cluster: driver, searcher, trials, stage folders, and the outbox to MLflow."""
