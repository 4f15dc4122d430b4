"""Losses that know no family: adversarial, penalties, likelihoods, perceptual."""
