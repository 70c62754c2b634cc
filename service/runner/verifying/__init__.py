"""Verification: a stage is trained again and compared with its commits."""
