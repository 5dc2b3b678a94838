"""The evaluation gate: whether a release may be offered in place of the one that it started from."""
