"""Files that nobody would write, read by the product's own parser: in its sandbox, as a worker does."""
