"""Loops that change weights: contrastive, maximum likelihood, self-critical."""
