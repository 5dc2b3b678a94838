"""Everything that turns text into vectors."""
