"""The control process: the reconciler makes the wanted state true, the housekeeper cleans up after the end."""
