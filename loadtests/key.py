"""The key of a load test: from CSMF_KEY, never from an argument, which all on a machine can see."""

from __future__ import annotations

import os


def key_headers() -> dict[str, str]:
    """What a request carries to be let in; nothing where no key is set."""
    key = os.environ.get("CSMF_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}
