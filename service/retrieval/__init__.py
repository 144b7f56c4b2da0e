"""From one query to its list."""
