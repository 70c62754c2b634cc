"""What makes the wanted state true: the state table, the Ray Jobs adapter, the reconciler, the comparison."""
