"""Networks and how they decode: encoders, the grammar head, captioners."""
