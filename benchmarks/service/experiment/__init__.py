"""Whole experiments, compared with a bare pool of processes that makes the same trainings."""
