"""Objective weights per scenario: the record, its two stores, and the board that requests read."""
