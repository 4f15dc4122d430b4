"""Blocks that know no family: convolution, attention, resampling, normalisation, embedding, UNet."""
