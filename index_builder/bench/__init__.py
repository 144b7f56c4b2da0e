"""The search against what anyone would pick instead, in one run; see `__main__`."""
