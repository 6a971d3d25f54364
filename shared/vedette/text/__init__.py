"""Formats text from outside for people and models. Pure."""
