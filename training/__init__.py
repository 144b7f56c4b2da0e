"""Offline training of the CSMF cascade; the only program that imports torch."""
