"""The charts, checked without a cluster."""
