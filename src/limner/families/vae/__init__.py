"""Variational autoencoders: one method, one file."""
