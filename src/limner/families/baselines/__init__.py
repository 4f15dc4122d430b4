"""Baselines: what can be had in seconds without a network. A generator that does not beat them has learnt little."""
