"""The statistics of paired differences: tests, intervals and verdicts, with a fixed and with a growing number of seeds.

All functions are pure: differences in, numbers out.
"""
