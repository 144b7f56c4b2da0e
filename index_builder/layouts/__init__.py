"""What a served layout of vectors costs: Table 4 of the paper; see `__main__`."""
