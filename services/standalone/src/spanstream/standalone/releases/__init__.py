"""The registry of releases: what has passed the gate, in a folder or an object store, whole or not at all."""
