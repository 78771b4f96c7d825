"""What people and programs search with: a web page and REST in one process, read-only."""
