"""Objective weights per scenario, with variants and schedules: records, the changes that operators
make, two stores, and the board that requests read.
"""
