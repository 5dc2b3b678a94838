"""Whether the index is what the log says, and how it becomes that again."""
