"""Tests of whole experiments. All except the one on PostgreSQL share a stack."""
