"""Paths from pictures to noise, weightings, and the table that turns any prediction target into any other."""
