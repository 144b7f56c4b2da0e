"""The speed of training: beside two libraries, and phase by phase; see `__main__`."""
