"""The control process: the reconciler carries out wishes, the housekeeper cleans up, the deliverer sends webhooks."""
