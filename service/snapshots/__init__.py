"""What is served: verified pairs, followed as CURRENT changes."""
