"""The local stack: Ray, MLflow and the API as processes of this machine, started and ended as one."""
