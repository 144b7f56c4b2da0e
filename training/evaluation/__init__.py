"""Judges lists: one set of questions, one measure, whoever made the lists. No torch."""
