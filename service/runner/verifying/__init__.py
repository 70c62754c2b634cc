"""Verification: a stage is trained once more and compared with what it committed."""
