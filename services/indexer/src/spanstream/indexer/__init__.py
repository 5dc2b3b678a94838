"""Writes embeddings to the store and decides what is visible."""
