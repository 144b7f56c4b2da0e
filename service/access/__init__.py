"""Who may call: keys with roles, and the file that keeps their hashes."""
