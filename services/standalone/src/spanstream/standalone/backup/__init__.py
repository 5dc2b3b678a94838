"""A copy of the index, with the place in the log from which it catches up."""
