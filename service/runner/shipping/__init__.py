"""Shipping: from what is committed on storage to the runs in MLflow."""
