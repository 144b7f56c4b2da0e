"""Loaders of public log formats and the simulator; each yields the same three-table log."""
