"""Services listen on loopback and ask nobody for a key, but in the tests of keys."""

import os

os.environ["CSMF_ANONYMOUS"] = "loopback"  # for apps in this process and for those it starts
os.environ["CSMF_DRAIN_DELAY_S"] = "0"  # a service whose test is over has no balancer to wait for
