"""The paper's tables and figures, measured again: which runs, how judged, how shown."""
