"""Training of encoders: objectives that need no labels, mixed by a recipe; a trainer that resumes exactly; a folder at the end."""
