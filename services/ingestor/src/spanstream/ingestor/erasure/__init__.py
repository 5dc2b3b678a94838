"""Deleting much at once, and telling, signed, what is left of something that was deleted."""
