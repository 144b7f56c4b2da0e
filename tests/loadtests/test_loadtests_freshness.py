"""How long weights take to be seen: all probes are done before any of them may be closed."""

from http.client import HTTPException

import gevent
import pytest

from loadtests.freshness import seconds_until_visible


class Asked:
    """In place of a connection, whose answers would come when they like."""

    def __init__(self, takes_s, fails=False):
        self.takes_s, self.fails, self.done = takes_s, fails, False

    def seconds_until(self, version):
        gevent.sleep(self.takes_s)
        self.done = True
        if self.fails:
            raise HTTPException("out of order")
        return self.takes_s


def test_each_probe_tells_how_long_it_waited():
    assert seconds_until_visible([Asked(0.02), Asked(0.01)], version=1) == [0.02, 0.01]


def test_a_probe_that_fails_is_reported_once_the_others_are_done_with_their_connections():
    slow = Asked(0.05)
    with pytest.raises(HTTPException, match="out of order"):
        seconds_until_visible([slow, Asked(0.0, fails=True)], version=1)
    assert slow.done


def test_a_run_that_ends_meanwhile_leaves_no_probe_at_work():
    slow = Asked(0.05)
    user = gevent.spawn(seconds_until_visible, [slow], 1)
    gevent.sleep(0.01)
    user.kill()
    gevent.sleep(0.1)
    assert not slow.done
