"""Shipping: from the commits on storage to the runs in MLflow."""
