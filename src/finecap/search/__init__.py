"""The caption index: builds, queries, and serving what a build names."""
