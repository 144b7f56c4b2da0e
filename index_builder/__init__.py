"""Offline building of an index from a bundle and a catalogue: encode, build, calibrate, publish.

Read build.py first: it is the whole job in one function.
"""
