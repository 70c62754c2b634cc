"""Measuring a network: accuracy and loss, operations, energy, the health of its layers."""
