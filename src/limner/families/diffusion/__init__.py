"""Diffusion models: one method, one file."""
