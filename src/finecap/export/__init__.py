"""The index's captions for other programs: as a table, or inside copies of the images."""
