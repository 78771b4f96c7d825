"""Pure scoring functions, used by rewards, training and evaluation alike."""
