"""Scores with intervals, the leaderboard, and the promotion decision."""
