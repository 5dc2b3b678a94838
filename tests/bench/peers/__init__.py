"""What others would run in the encoder service's place, each a process of its own: POST /encode, JSON there and back."""
