"""Checkpoints behind an OpenAI-compatible server: vLLM, SGLang, TGI, llama.cpp's server ("openai:BASE_URL#MODEL").

The key is read from the environment when it is sent, and from nowhere else; it is in no id, record, message or log.
``$OPENAI_API_KEY`` goes to api.openai.com alone; ``$VLE_SERVED_KEY`` to servers on this machine, of a catalogue, and those
that the owner named on the command line or in Python (``trust``), never to one that a visitor or a link names.
"""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from PIL import Image

from explorer.models.catalogue import entries
from explorer.models.first_tokens import Tops, likeliest, share_of_candidates
from explorer.models.hub import brief
from explorer.models.speaking import Asked, Said, Stop
from explorer.records import CheckpointError, Looked, Picture

SERVED = "openai:"
KEY, OPENAI_KEY, OPENAI_HOST = "VLE_SERVED_KEY", "OPENAI_API_KEY", "api.openai.com"
MOST_PX = 1536  # longer side of a picture that is sent
TOP = 20  # first tokens asked for: no server gives more by default
AT_ONCE = 8  # questions on their way, where many are asked
CONNECT_SECONDS, PAUSE_SECONDS = 8.0, 0.5
_TRUSTED = {"localhost", "127.0.0.1", "::1"}  # hosts that get the key


@dataclass(frozen=True)
class Address:
    """Where a served model is.

    Attributes:
        base_url: of its API, such as http://127.0.0.1:8000/v1.
        model: its name there, "" for the first that the server lists.
        host: of the address.
    """

    base_url: str
    model: str
    host: str

    @classmethod
    def parse(cls, id: str) -> Address:
        """Read "openai:BASE_URL#MODEL".

        Raises:
            CheckpointError: it is no address of the web, or holds a password.
        """
        base_url, _, model = id.removeprefix(SERVED).partition("#")
        try:
            parts = urlsplit(base_url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or parts.query or any(c.isspace() for c in id):
            raise CheckpointError(
                "A served checkpoint is written openai:BASE_URL#MODEL, for example openai:http://127.0.0.1:8000/v1#llava."
            )
        if parts.username is not None or parts.password is not None:
            raise CheckpointError(f"An address must hold no key or password: put the key into ${KEY} instead.")
        return cls(base_url.rstrip("/"), model, host)

    def key(self) -> str:
        """What the environment has for this server, "" for nothing."""
        if self.host == OPENAI_HOST:
            return os.environ.get(OPENAI_KEY, "").strip()
        if self.host not in _TRUSTED:
            trust(entry.id for entry in entries("checkpoints"))
        return os.environ.get(KEY, "").strip() if self.host in _TRUSTED else ""


def trust(ids: Iterable[str]) -> None:
    """Let the servers of these ids have the key; ids of other kinds are passed over."""
    _TRUSTED.update(Address.parse(id).host for id in ids if id.startswith(SERVED))


class Served:
    """A served checkpoint; nothing of it is on this machine. May be used from any thread."""

    size_bytes = 0
    layers: tuple[int, ...] = ()
    blocks = 0

    def __init__(self, id: str, *, silence_seconds: float = 45.0, most_seconds: float = 180.0, tries: int = 3) -> None:
        """Nothing is sent yet.

        Args:
            id: "openai:BASE_URL#MODEL".
            silence_seconds: how long the server may say nothing.
            most_seconds: how long it may take from its first to its last.
            tries: how often a server that refuses or is overloaded is asked.

        Raises:
            CheckpointError: the id is no address.
        """
        self.id, self.address = id, Address.parse(id)
        self._silence, self._most, self._tries = silence_seconds, most_seconds, tries
        self._gives_tops = True

    def speak(self, asked: Asked, stop: Stop) -> Iterator[Said]:
        """Answer, again and again with a longer text.

        Raises:
            CheckpointError: the server cannot be reached, refuses, falls silent, or answers what is no answer.
        """
        url, size = _as_data_url(asked.picture)
        remarks = (f"The picture was sent to the server at {size[0]} × {size[1]} px.",) if size else ()
        yield Said(remarks=remarks)
        text, tops = "", None
        deadline = 0.0
        with self._guarded(), self._client() as client:
            for piece, found in self._pieces(client, asked, url, stop):
                text, tops = text + piece, tops or found
                yield _said(text, tops, asked, remarks)
                if stop.is_set():
                    return
                deadline = deadline or time.monotonic() + self._most  # from the first sign of life on
                if time.monotonic() > deadline:
                    remarks = (*remarks, f"It was cut off after {self._most:.0f} s.")
                    break
        if not text.strip():
            raise CheckpointError(f"{self._name()} answered nothing.")
        last = _said(text, tops, asked, remarks)
        yield Said(last.text.strip(), last.probabilities, last.remarks)

    def answer_many(self, many: Sequence[Asked]) -> list[Said]:
        """Answer many questions, several on their way at once.

        Raises:
            CheckpointError: as ``speak``.
        """

        def answer(asked: Asked) -> Said:
            *_, last = self.speak(asked, _Never())
            return last

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(answer, many))

    def look(self, picture: Picture, question: str) -> Looked:
        """A server does not show where it looked.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError("Where a served checkpoint looked cannot be seen: its server gives only text.")

    def _client(self) -> Any:
        import openai

        return openai.OpenAI(
            base_url=self.address.base_url,
            api_key=self.address.key() or "none",
            organization="",
            project="",
            timeout=openai.Timeout(self._silence, connect=CONNECT_SECONDS),
            max_retries=0,
        )

    def _pieces(self, client: Any, asked: Asked, url: str, stop: Stop) -> Iterator[tuple[str, Tops | None]]:
        """Pieces of text as they come, each with what the first token could have been, where that is told."""
        wanted: dict[str, Any] = {
            "model": self.address.model or _first_model(client),
            "messages": _messages(asked, url),
            "temperature": asked.temperature,
            "max_tokens": asked.most_tokens,
            "stream": True,
        }
        with self._begin(client, wanted, stop) as stream:
            for chunk in stream:
                choice = chunk.choices[0] if chunk.choices else None
                if choice is None or choice.delta is None:
                    continue
                if choice.delta.content is not None and not isinstance(choice.delta.content, str):
                    raise TypeError("its text is no text")
                yield choice.delta.content or "", _tops(choice)

    def _begin(self, client: Any, wanted: dict[str, Any], stop: Stop) -> Any:
        """The stream; asked for again where the server is busy, and without probabilities where it refuses these."""
        import openai

        for left in reversed(range(self._tries)):
            try:
                if self._gives_tops:
                    try:
                        return client.chat.completions.create(**wanted, logprobs=True, top_logprobs=TOP)
                    except (openai.BadRequestError, openai.UnprocessableEntityError):
                        stream = client.chat.completions.create(**wanted)
                        self._gives_tops = False
                        return stream
                return client.chat.completions.create(**wanted)
            except openai.APITimeoutError:
                raise
            except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError):
                if not left or stop.is_set():
                    raise
                time.sleep(PAUSE_SECONDS * (self._tries - left))
        raise AssertionError("unreachable: the last try returns or raises")

    def _name(self) -> str:
        model = f"{self.address.model} at " if self.address.model else ""
        return f"{model}{self.address.base_url}"

    def _guarded(self) -> _Guard:
        return _Guard(self)


class _Guard:
    """Turns whatever the client, its HTTP library or a strange answer raises into one sentence."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, problem: BaseException | None, _: Any) -> None:
        if isinstance(problem, Exception) and not isinstance(problem, CheckpointError):
            self._explain(problem)

    def _explain(self, problem: Exception) -> NoReturn:
        import openai

        name = self._served._name()
        if isinstance(problem, openai.APITimeoutError) or "timeout" in type(problem).__name__.lower():
            why = f"{name} said nothing for {self._served._silence:.0f} s: it may still be loading; ask again later."
        elif isinstance(problem, (openai.AuthenticationError, openai.PermissionDeniedError)):
            why = (
                f"{name} refused the key: set ${KEY} (${OPENAI_KEY} for {OPENAI_HOST}) before the start; on the page it is "
                "sent to servers of this machine and of your catalogue alone."
            )
        elif isinstance(problem, openai.NotFoundError):
            why = f"{name} was not found ({self._told(problem)}): check the address, which mostly ends in /v1, and the model."
        elif isinstance(problem, openai.RateLimitError):
            why = f"{name} has too much to do at the moment: ask again later."
        elif isinstance(problem, openai.APIStatusError):
            why = f"{name} failed with status {problem.status_code} ({self._told(problem)})."
        elif isinstance(problem, openai.APIConnectionError):
            why = f"{name} cannot be reached ({self._told(problem.__cause__ or problem)}): is the server running?"
        else:
            why = f"{name} answered what is no answer of this kind of server ({self._told(problem)})."
        raise CheckpointError(why) from None  # what hangs on the problem may hold the key

    def _told(self, problem: BaseException) -> str:
        body = getattr(problem, "body", None)
        said = body.get("message") if isinstance(body, dict) else None
        text = brief(ValueError(said)) if isinstance(said, str) and said else brief(problem)
        key = self._served.address.key()
        return text.replace(key, "…") if key else text


class _Never:
    def is_set(self) -> bool:
        return False


def _first_model(client: Any) -> str:
    names = [model.id for model in client.models.list().data]
    if not names:
        raise ValueError("it lists no model")
    return names[0]


def _as_data_url(picture: Picture) -> tuple[str, tuple[int, int] | None]:
    """The picture as PNG in a data URL, and its new size where it was made smaller."""
    image = Image.fromarray(picture.pixels)
    smaller = max(image.size) > MOST_PX
    if smaller:
        image.thumbnail((MOST_PX, MOST_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return url, image.size if smaller else None


def _messages(asked: Asked, url: str) -> list[dict[str, Any]]:
    """The picture stands in the first thing that was ever asked about it."""
    said: list[dict[str, Any]] = []
    for question, answer in (*asked.turns, (asked.question, None)):
        shown = [] if said else [{"type": "image_url", "image_url": {"url": url}}]
        said.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        if answer is not None:
            said.append({"role": "assistant", "content": answer})
    return said


def _tops(choice: Any) -> Tops | None:
    """(token, logarithm of its probability) of the first token that is no blank, None if there is none here."""
    rows = getattr(choice.logprobs, "content", None) or []
    for row in rows:
        if row.token.strip():
            tops = row.top_logprobs or [row]
            return tuple((str(top.token), float(top.logprob)) for top in tops)
    return None


def _said(text: str, tops: Tops | None, asked: Asked, remarks: tuple[str, ...]) -> Said:
    if tops is None:
        return Said(text.lstrip(), (), (*remarks, "This server tells no probabilities.") if text.strip() else remarks)
    if not asked.candidates:
        return Said(text.lstrip(), likeliest(tops), remarks)
    probabilities, remark = share_of_candidates(tops, asked.candidates)
    return Said(text.lstrip(), probabilities, (*remarks, remark))
