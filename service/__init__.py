"""The online retrieval service.

FAISS and onnxruntime read these when they load: one thread per query, and none that spins while it
waits, because every core already has a query of its own.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
