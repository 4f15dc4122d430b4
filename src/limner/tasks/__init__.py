"""What is done with a trained generator: one task, one file, written against capabilities."""
