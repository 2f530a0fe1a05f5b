"""Checkpoints answer side by side: loaded on demand, streamed as they speak, each picture seen once per encoder."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.layers import PAPER_FUSION
from explorer.models.checkpoint_ids import (
    BUILT_IN,
    SERVED,
    CheckpointId,
    describe,
    find_mini,
    list_checkpoints,
    list_ids,
)
from explorer.models.checkpoint_ids import WEIGHTS as MINI_WEIGHTS
from explorer.models.libraries import load_libraries
from explorer.records import (
    STOPPED,
    CheckpointError,
    CheckpointInfo,
    InputError,
    Looked,
    Picture,
    Reply,
    Truth,
    XRay,
)
from explorer.services.answer_limits import check_asked, check_listed
from explorer.services.answer_words import sentence, told, what_it_reads, with_said
from explorer.services.cache import OnceCache
from explorer.services.gate import Gate
from explorer.services.gpu import gpu_generator, on_zero_gpu
from explorer.services.streaming import (
    NEVER,
    Either,
    Job,
    Progress,
    Turns,
    as_remarks,
    run_jobs,
    while_loading,
)
from explorer.services.truth import decide, scene_questions, truth_of

if TYPE_CHECKING:
    from explorer.models.mini_speaker import MiniParts
    from explorer.models.speaking import Asked, Speaker, Stop

__all__ = ["Answerers", "Truth", "scene_questions", "truth_of"]

MEMORY_BYTES = 6 << 30
CHUNK = 128  # questions at once in ask_many
LANES = 2  # threads in which mini checkpoints work, of one visitor or of several
FUSIONS = ((18, 23), PAPER_FUSION)


class Answerers:
    """All checkpoints that can answer; every method may be called from any thread."""

    def __init__(
        self,
        *,
        memory_bytes: int = MEMORY_BYTES,
        device: str | None = None,
        catalogue: str | Path | None = None,
        any_id: bool = True,
    ) -> None:
        """Start with nothing loaded.

        Args:
            memory_bytes: of the weights kept; the least recently used leave first.
            device: such as "cpu" or "cuda"; None chooses.
            catalogue: folder in which the built-in checkpoints lie; None takes ours.
            any_id: whether also ids are taken that are not listed, or not on this machine: folders, hub ids, addresses.
        """
        self._any_id = any_id
        self._borrowing = gpu_generator(lambda jobs: self._run(jobs, threading.Event()))
        self._turns = Turns()
        self._device, self._root = device, Path(catalogue) if catalogue else BUILT_IN
        self._models = OnceCache(memory_bytes)
        self._encoders = OnceCache(1 << 34)  # shared by many, so that they stay
        self._gate = Gate(LANES)

    def list(self) -> list[CheckpointInfo]:
        """All that are known: built in, in folders that are looked into, in the catalogues; not all are here."""
        return list_checkpoints(self._root)

    def built_in(self) -> list[CheckpointInfo]:
        """Those that need no download."""
        return [describe(name, self._root) for name in list_ids(self._root)]

    def info(self, id: str) -> CheckpointInfo:
        """What is known of a checkpoint; nothing is loaded.

        Raises:
            CheckpointError: there is none of this id, it cannot read the layers named, or it may not be asked here.
        """
        if not self._any_id:
            check_listed(id, self.list())
        return describe(id, self._root)

    def stream(
        self,
        pictures: Sequence[Picture],
        question: str,
        checkpoints: Sequence[str],
        *,
        candidates: Sequence[str] = (),
        turns: Sequence[tuple[str, str]] = (),
        temperature: float = 0.0,
        most_tokens: int = 24,
        stop: threading.Event | None = None,
    ) -> Iterator[list[Reply]]:
        """Ask; the whole list again whenever something changed, at most 20 times a second, and once all are done.

        Args:
            pictures: usually one.
            question: the text.
            checkpoints: ids; what is wrong with one of them is told in its reply and stops no other.
            candidates: answers whose probabilities are wanted; () decides by the question.
            turns: earlier (question, answer) pairs about the same picture.
            temperature: 0 for the likeliest token always.
            most_tokens: of an answer.
            stop: set it to stop between two tokens; closing the iterator stops too.

        Returns:
            An iterator over lists of one reply a checkpoint, in their order, and so again for each further picture.
            ``seconds`` counts no loading and no waiting for others, and for each checkpoint alike the encoder's look at
            the picture, also where that was shared or kept from before.

        Raises:
            InputError: nothing can be asked in this way.
        """
        asked = self._asked(pictures, question, candidates, turns, temperature, most_tokens)
        if not checkpoints:
            raise InputError("No checkpoint was chosen: name at least one, such as mini-l18.")
        jobs = [Job(id, one) for one in asked for id in checkpoints]
        return self._borrowing(jobs) if on_zero_gpu() else self._run(jobs, stop or threading.Event())

    def ask(self, pictures: Sequence[Picture], question: str, checkpoints: Sequence[str], **how: Any) -> list[Reply]:
        """The last of ``stream``, with the same arguments."""
        return deque(self.stream(pictures, question, checkpoints, **how), maxlen=1).pop()

    def ask_many(
        self,
        items: Sequence[tuple[Picture, str, Sequence[str]]],
        checkpoint: str,
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Reply]:
        """Ask one checkpoint many questions, greedily and in batches, for sweeps.

        Args:
            items: (picture, question, candidates) each; () as candidates decides by the question.
            checkpoint: its id.
            stop: set it to end early, with the replies so far.
            on_progress: told (done, in all).

        Raises:
            CheckpointError: it cannot be had, or cannot answer one of the questions.
            InputError: one of them cannot be asked in this way.
        """
        asked = [self._asked([picture], text, options, (), 0.0, 24)[0] for picture, text, options in items]
        with self._turn(checkpoint, stop):
            return self._ask_all(asked, checkpoint, stop, on_progress)

    def _ask_all(
        self,
        asked: Sequence[Asked],
        checkpoint: str,
        stop: threading.Event | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> list[Reply]:
        info, speaker = self._open(checkpoint)
        replies: list[Reply] = []
        chunk = (
            CHUNK if find_mini(CheckpointId.parse(checkpoint).name, self._root) else 1
        )  # others take seconds for each
        for start in range(0, len(asked), chunk):
            if stop is not None and stop.is_set():
                break
            began = time.perf_counter()
            some = asked[start : start + chunk]
            with told(checkpoint):
                said = speaker.answer_many(some)
            each = (time.perf_counter() - began) / len(some)
            empty = Reply(checkpoint, speaker.layers, what_it_reads(info, speaker), done=True, seconds=each)
            replies += [with_said(replace(empty, kind=a.kind), s, info) for a, s in zip(some, said, strict=True)]
            if on_progress:
                on_progress(len(replies), len(asked))
        return replies

    def xray(
        self,
        picture: Picture,
        question: str,
        *,
        candidates: Sequence[str] = (),
        checkpoint: str = "mini-any",
        columns: Sequence[Sequence[int]] | None = None,
        stop: Stop | None = None,
    ) -> XRay:
        """Ask one question of every layer and of fusions, from one look of the encoder.

        Args:
            picture: what it is about.
            question: the text.
            candidates: the rows; () decides by the question, and takes what was answered where it is open.
            checkpoint: one whose layers can be chosen.
            columns: the layers of each column; None takes every single one and the fusions 18 + 23 and 3 + 18 + 23.
            stop: set it to stop.

        Raises:
            CheckpointError: its layers cannot be chosen, or it cannot be had.
            InputError: the question cannot be asked in this way, or it was stopped.
        """
        load_libraries()
        from explorer.models.columns import read_columns

        asked = self._asked([picture], question, candidates, (), 0.0, 24)[0]
        info = self.info(checkpoint)
        folder = find_mini(CheckpointId.parse(checkpoint).name, self._root)
        if folder is None or not info.choosable:
            raise CheckpointError(
                f"{info.title} always reads the same layers: an X-ray needs a checkpoint whose layers can be chosen."
            )
        parts = self._parts(folder, info.encoder)
        chosen = self._columns(parts, columns)
        began = time.perf_counter()
        with told(checkpoint):
            rows, found = read_columns(parts, chosen, asked, stop or NEVER)
        if len(found) < len(chosen):
            raise InputError("The X-ray was stopped.")
        probabilities = np.array([[p for _, p in said.probabilities] for said in found], np.float32)
        answers = tuple(said.text for said in found)
        return XRay(chosen, rows, probabilities, answers, checkpoint, time.perf_counter() - began)

    def look(self, picture: Picture, question: str, checkpoint: str, *, stop: Stop | None = None) -> Looked:
        """Where a checkpoint looks for the first token of its answer; ``stop`` ends the waiting for its turn.

        Raises:
            CheckpointError: it cannot be had, or does not let itself be looked into.
            InputError: the question cannot be asked in this way.
        """
        self._asked([picture], question, (), (), 0.0, 1)
        with self._turn(checkpoint, stop), told(checkpoint):
            _, speaker = self._open(checkpoint)
            return replace(speaker.look(picture, question.strip()), checkpoint=checkpoint)

    def _asked(
        self,
        pictures: Sequence[Picture],
        question: str,
        candidates: Sequence[str],
        turns: Sequence[tuple[str, str]],
        temperature: float,
        most_tokens: int,
    ) -> list[Asked]:
        check_asked(pictures, question, candidates, turns, temperature, most_tokens)
        from explorer.models.speaking import Asked

        text = question.strip()
        kind, options = decide(text, candidates)
        before = tuple((str(q), str(a)) for q, a in turns)
        return [Asked(picture, text, kind, options, before, temperature, most_tokens) for picture in pictures]

    def _open(self, id: str, report: Progress = lambda *_: None) -> tuple[CheckpointInfo, Speaker]:
        """A checkpoint, loaded if it is not yet."""
        info = self.info(id)
        asked = CheckpointId.parse(id)
        with told(id):
            if id.startswith(SERVED):
                from explorer.models.served import Served

                return info, Served(id)
            load_libraries()
            folder = find_mini(asked.name, self._root)
            if folder:
                from explorer.models.mini_speaker import MiniSpeaker

                parts = self._parts(folder, info.encoder)
                own = describe(asked.name + (f"@{asked.chosen}" if asked.chosen else ""), self._root).layers
                return info, MiniSpeaker(parts, own, info.layers if info.untrained_swap else ())
            from explorer.models.shared_towers import SharedTowers
            from explorer.models.transformers_speaker import TransformersSpeaker

            towers = self._encoders.get("towers", lambda: (SharedTowers(), 1))

            def load() -> tuple[Speaker, int]:
                how: dict[str, Any] = {
                    "bits": asked.bits,
                    "drop_oldest": self._models.drop_oldest,
                    "report": report,
                    "towers": towers,
                }
                speaker = TransformersSpeaker(asked.name, self._device, **how)
                return speaker, speaker.size_bytes

            speaker = self._models.get((asked.name, asked.bits), load)
            return info, speaker.reading(info.layers) if info.untrained_swap else speaker

    def _is_large(self, id: str) -> bool:
        """Whether a checkpoint is loaded here and is none of the mini family: then one works at a time."""
        return not id.startswith(SERVED) and find_mini(CheckpointId.parse(id).name, self._root) is None

    def _turn(self, id: str, stop: Stop | None) -> AbstractContextManager[None]:
        """The turn of a large checkpoint; any other needs none."""
        return self._turns.take((stop or NEVER) if self._is_large(id) else None)

    def _parts(self, folder: Path, encoder_id: str) -> MiniParts:
        """A mini checkpoint's own part; read again when its file changed."""
        from explorer.models.hardware import choose_device
        from explorer.models.mini_speaker import MiniParts
        from explorer.models.shared_encoder import SharedEncoder

        with told(folder.name):
            if not (folder / MINI_WEIGHTS).is_file():
                raise CheckpointError(f"{folder.name} is incomplete: {MINI_WEIGHTS} is missing. Restore its folder.")
            device = choose_device(self._device)
            encoder = self._encoders.get(encoder_id, lambda: (SharedEncoder(encoder_id, device), 1))
            changed = (folder / MINI_WEIGHTS).stat().st_mtime_ns

            def load() -> tuple[MiniParts, int]:
                parts = MiniParts(folder, encoder)
                return parts, parts.size_bytes

            return self._models.get((str(folder.resolve()), changed), load)

    def _run(self, jobs: Sequence[Job], stop: threading.Event) -> Iterator[list[Reply]]:
        """Merge what all checkpoints say: mini ones in a few lanes, large ones in turn, each served one in its own thread."""
        large = [k for k, job in enumerate(jobs) if self._is_large(job.id)]
        served = [k for k, job in enumerate(jobs) if job.id.startswith(SERVED)]
        together = [k for k in range(len(jobs)) if k not in large and k not in served]
        mini = [lane for lane in (together[k::LANES] for k in range(LANES)) if lane]
        lanes = [*mini, *([large] if large else []), *([k] for k in served)]
        return run_jobs(jobs, lanes, self._speak, stop, self._gate, len(mini))

    def _speak(self, job: Job, stop: Either) -> Iterator[Reply]:
        """What one checkpoint says; whatever goes wrong is a sentence in its reply."""
        reply = Reply(job.id, (), "", kind=job.asked.kind)
        began, shared = time.perf_counter(), 0.0
        try:
            info = self.info(job.id)
            yield (reply := replace(reply, layers=info.layers, reads=info.reads))
            large = self._is_large(job.id)
            with self._turn(job.id, stop):
                if large:
                    loading = while_loading(lambda report: self._open(job.id, report), stop)
                    info, speaker = yield from as_remarks(reply, loading)
                else:
                    info, speaker = self._open(job.id)
                reply = replace(reply, layers=speaker.layers or info.layers, reads=what_it_reads(info, speaker))
                began = time.perf_counter()  # loading is no part of answering
                for said in speaker.speak(job.asked, stop):
                    reply, shared = with_said(reply, said, info), said.shared_seconds
                    yield reply
        except Exception as error:  # one failing checkpoint never stops the others
            reply = replace(reply, error=sentence(job.id, error))
        stopped = (STOPPED,) if stop.is_set() and not reply.error else ()
        seconds = time.perf_counter() - began + shared
        yield replace(reply, seconds=seconds, remarks=(*reply.remarks, *stopped), done=True)

    def _columns(self, parts: MiniParts, columns: Sequence[Sequence[int]] | None) -> tuple[tuple[int, ...], ...]:
        if columns is None:
            fusions = [fusion for fusion in FUSIONS if set(fusion) <= set(parts.known)]
            return (*((layer,) for layer in parts.known), *fusions)
        chosen = tuple(tuple(column) for column in columns)
        wrong = sorted({layer for column in chosen for layer in column} - set(parts.known))
        if not chosen or not all(chosen) or wrong:
            raise InputError(f"{parts.name} cannot read layers {', '.join(map(str, wrong)) or 'none'}: name others.")
        return chosen
