"""The control process: the reconciler makes the wanted state true, the housekeeper cleans up, the deliverer sends webhooks."""
