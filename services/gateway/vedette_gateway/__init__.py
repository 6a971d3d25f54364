"""The gateway: the OpenAI-compatible API that chooses a model for each request, calls it, and falls back."""
