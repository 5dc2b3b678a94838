"""Worker from passages to embeddings, and the encoder application."""
