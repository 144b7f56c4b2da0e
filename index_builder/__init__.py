"""Offline building of a FAISS index from a bundle and a catalogue."""
