"""Measuring a network: accuracy and losses, operations, energy, the health of its layers.

Nothing is imported here, so that each module loads only what it needs; `tet_core` itself exports `evaluate` and
`count_operations`.
"""
