"""The encoder port, its wire format, HTTP client and a hash encoder for tests."""
