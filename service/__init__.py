"""The service: takes experiments by REST, runs them on Ray, leaves the comparison in MLflow."""
