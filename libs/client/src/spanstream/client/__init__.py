"""Python SDK and the spanstream command."""
