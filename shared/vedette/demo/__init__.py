"""A small real model to try Vedette on: SmolLM2-135M-Instruct behind a real llama.cpp server."""
