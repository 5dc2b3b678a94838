"""`spanstream eval`: judged searches through the public API."""
