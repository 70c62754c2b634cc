"""The service. It accepts experiments by REST, runs them on Ray and writes their comparison to MLflow."""
