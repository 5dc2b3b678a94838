"""What travels between the services: message types, topics, identities."""
