"""Adversarial generators: one game, one file an architecture, combined by recipes."""
