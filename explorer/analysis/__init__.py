"""Pure functions on hidden states and tables of answers: no models, no disk, no page."""
