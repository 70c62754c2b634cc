"""The control process: it carries out wishes, cleans up, sends webhooks, and adds what earlier versions left out."""
