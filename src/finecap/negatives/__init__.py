"""Synthetic negatives: corrupted captions, and captions robbed of an attribute."""
