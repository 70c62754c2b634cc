"""All tests. Folders with fixtures of scope "package" are packages, so that pytest ends these after their last test."""
