"""Figures across the arms of an experiment. Nothing here loads matplotlib until a figure is drawn."""
