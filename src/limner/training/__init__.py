"""The one loop, and what it stands on: engine, optimisers, averages, checkpoints, monitors."""
