import threading
import time

from explorer.services.gate import Gate


def wait_until(so):
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_who_comes_first_goes_first_and_hears_how_many_are_before():
    gate, stop, order, told = Gate(1), threading.Event(), [], {}
    assert gate.enter("first", stop)

    def visit(name):
        assert gate.enter(name, stop, lambda before: told.setdefault(name, []).append(before))
        order.append(name)
        gate.leave()

    threads = []
    for k, name in enumerate("abc"):
        threads.append(threading.Thread(target=visit, args=(name,)))
        threads[-1].start()
        wait_until(lambda k=k: len(gate._waiting) == k + 1)
    wait_until(lambda: len(told) == 3)
    gate.leave()
    for thread in threads:
        thread.join(60)
    assert order == ["a", "b", "c"] and [told[name][0] for name in "abc"] == [0, 1, 2]
    assert gate._free == 1


def test_a_stop_ends_the_waiting_and_gives_no_place_away():
    gate, stop = Gate(1), threading.Event()
    assert gate.enter("first", stop)
    stop.set()
    assert not gate.enter("second", stop)
    gate.leave()
    assert gate.enter("third", threading.Event()) and not gate._waiting
