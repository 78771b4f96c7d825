"""Records, their sources, their validation, and what turns them into model inputs."""
