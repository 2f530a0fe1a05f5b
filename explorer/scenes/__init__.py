"""The procedural world: scenes whose truth is known, their pictures, captions and questions."""
