import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.services.cache import OnceCache


def test_the_least_recently_used_goes_first():
    cache = OnceCache(100)
    for name in "abc":
        cache.get(name, lambda name=name: (name, 40))
        cache.get("a", lambda: pytest.fail("a is in use and must stay"))
    assert cache.bytes == 80
    assert cache.get("b", lambda: ("again", 40)) == "again"


def test_a_value_over_the_limit_stays_until_the_next():
    cache = OnceCache(10)
    cache.get("big", lambda: ("big", 1000))
    assert cache.get("big", lambda: pytest.fail("computed twice")) == "big"
    cache.get("small", lambda: ("small", 5))
    assert cache.bytes == 5


def test_all_who_ask_at_the_same_time_get_one_computation():
    cache, calls, asked = OnceCache(1000), [], threading.Barrier(8)

    def compute():
        calls.append(1)
        started.wait(0.2)
        return object(), 1

    started = threading.Event()

    def ask(_):
        asked.wait()
        return cache.get("key", compute)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(ask, range(8)))
    assert len(calls) == 1 and len(set(map(id, values))) == 1


def test_an_error_reaches_all_and_is_not_kept():
    cache, running = OnceCache(1000), threading.Event()

    def fail():
        running.wait(2)
        raise ValueError("broken")

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(cache.get, "key", fail) for _ in range(2)]
        running.set()
        for one in waiting:
            with pytest.raises(ValueError, match="broken"):
                one.result()
    assert cache.get("key", lambda: (1, 1)) == 1


def test_what_was_cleared_while_it_was_computed_is_not_kept():
    cache = OnceCache(1000)

    def compute():
        cache.clear()
        return "old", 10

    assert cache.get("key", compute) == "old"
    assert cache.bytes == 0
    assert cache.get("key", lambda: ("new", 10)) == "new"
