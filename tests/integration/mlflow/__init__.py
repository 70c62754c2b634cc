"""Tests of the shipping to an MLflow server."""
