"""Measurements of a network: its accuracy, losses, operations and energy, and the health of its layers.

This file imports nothing, so that a caller loads only the modules that it needs. `tet_core` exports `evaluate` and
`count_operations`.
"""
