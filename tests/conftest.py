"""Services listen on loopback and ask nobody for a key, but in the tests of keys."""

import os

os.environ["CSMF_ANONYMOUS"] = "loopback"  # for apps in this process and for those it starts
