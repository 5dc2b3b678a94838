"""The index port, its Qdrant Edge and Qdrant server adapters, and the lexical vectors."""
