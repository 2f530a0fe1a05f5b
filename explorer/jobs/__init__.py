"""Long work: train, evaluate, precompute."""
