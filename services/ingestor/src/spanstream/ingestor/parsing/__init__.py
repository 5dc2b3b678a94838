"""From the bytes of a document to its text: one module per format, the untrusted binary ones in a child process."""
