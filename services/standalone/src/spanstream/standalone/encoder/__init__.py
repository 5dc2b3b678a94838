"""What can be said about a model, and what is fitted for one."""
