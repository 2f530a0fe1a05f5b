"""Models: vision encoders of many makes behind one interface, and the catalogue of those known by name."""
