"""Adversarial generators: one method, one file."""
