"""What a workload needs, computed from what one document, passage and query was measured to cost."""
