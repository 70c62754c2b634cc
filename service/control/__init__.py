"""The control process: it makes the wanted state true, and does what follows an experiment's end."""
