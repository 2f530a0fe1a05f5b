import threading

from explorer.ui.line import Line, Stops


def test_first_come_first_served():
    line = Line(2)
    with line.ticket() as first:
        with line.ticket() as second, line.ticket() as third, line.ticket() as fourth:
            assert [one.place() for one in (first, second, third, fourth)] == [0, 0, 1, 2]
        assert first.place() == 0
    with line.ticket() as fifth:
        assert fifth.place() == 0


def test_who_waits_is_told_as_soon_as_the_line_moves():
    line, places = Line(1), []
    with line.ticket() as before:
        assert before.place() == 0
        ready = threading.Event()

        def wait():
            with line.ticket() as own:
                places.append(own.place())
                ready.set()
                places.append(own.wait(60))

        thread = threading.Thread(target=wait)
        thread.start()
        assert ready.wait(60)
    thread.join(60)
    assert places == [1, 0]


def test_a_failure_leaves_the_line():
    line = Line(1)
    try:
        with line.ticket():
            raise RuntimeError
    except RuntimeError:
        pass
    with line.ticket() as own:
        assert own.place() == 0


def test_starting_anew_stops_what_was_before_of_this_visitor_alone():
    stops = Stops()
    first, other, look = stops.begin("a", "asked", 1), stops.begin("b", "asked", 9), stops.begin("a", "look", 1)
    second = stops.begin("a", "asked", 2)
    assert [one.is_set() for one in (first, other, look, second)] == [True, False, False, False]
    stops.stop("a", ("asked", "xray"))
    assert [one.is_set() for one in (other, look, second)] == [False, False, True]


def test_what_was_stopped_on_its_way_never_begins():
    stops = Stops()
    stops.stop("a", ("asked", "xray"), 3)
    assert stops.begin("a", "asked", 3).is_set() and stops.begin("a", "xray", 2).is_set()
    assert not stops.begin("a", "asked", 4).is_set() and not stops.begin("b", "asked", 1).is_set()


def test_what_ended_late_does_not_forget_what_began_after_it():
    stops = Stops()
    first = stops.begin("a", "asked", 1)
    second = stops.begin("a", "asked", 2)
    stops.end("a", "asked", first)
    stops.stop("a", ("asked",))
    assert second.is_set()


def test_of_two_that_arrive_the_wrong_way_round_the_newer_goes_on():
    stops = Stops()
    newer, older = stops.begin("a", "asked", 2), stops.begin("a", "asked", 1)
    assert older.is_set() and not newer.is_set()
    stops.end("a", "asked", older)
    without = stops.begin("a", "asked", None)
    assert newer.is_set() and not without.is_set()
