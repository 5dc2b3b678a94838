"""`spanstream train`: an encoder that learnt from a team's own documents."""
