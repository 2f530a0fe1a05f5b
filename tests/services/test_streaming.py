import threading
import time

import numpy as np

from explorer.models.speaking import Asked
from explorer.records import Picture, Reply
from explorer.services.gate import Gate
from explorer.services.streaming import Job, run_jobs

PICTURE = Picture("grey", np.full((4, 4, 3), 128, np.uint8))


def test_when_all_is_said_no_thread_is_left():
    ended = []

    def speak(job, stop):
        yield Reply(job.id, (), "", text="yes", done=True)
        time.sleep(0.2)  # as a thread that frees what it held
        ended.append(job.id)

    jobs = [Job(id, Asked(PICTURE, "Is it grey?")) for id in ("a", "b")]
    *_, last = run_jobs(jobs, [[0], [1]], speak, threading.Event(), Gate(2), 2)
    assert [reply.text for reply in last] == ["yes", "yes"] and sorted(ended) == ["a", "b"]
