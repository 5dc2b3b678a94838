"""The whole pipeline on one thread: the product's handlers and loop, under a scheduler that decides who goes on and what breaks."""
