"""The local stack: Ray, MLflow and the API as processes on this machine, started and ended together."""
