"""The online retrieval service."""
