"""Large files from the hub into its cache, in parts that survive: a download that was stopped goes on where it was.

The hub client itself starts a file again from its first byte. Here the bytes go into a ``.part`` file beside the cache's
blobs; when it is whole it takes the blob's name, and the hub client only has to link it.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from explorer.records import EncoderError

CHUNK = 1 << 20
CONNECT_SECONDS = 8.0
READ_SECONDS = 30.0
PAUSE_SECONDS = 0.5
Progress = Callable[[float, str], None]
TRIES = 4  # in a row without a new byte
SHA256 = 64  # letters of the etag of a large file, which is its hash


class Arrival:
    """Tells how much of all files has arrived; knows whether the listener stopped the work."""

    def __init__(self, repo_id: str, total: int, report: Progress) -> None:
        """Nothing has arrived of ``total`` bytes."""
        self.repo_id, self.total, self.before = repo_id, max(1, total), 0
        self.stopped = False
        self._report = report

    def __call__(self, arrived: int) -> None:
        """Tell that so many bytes of the current file are here."""
        here = self.before + arrived
        said = f"Downloading {self.repo_id}: {here / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"
        try:
            self._report(min(1.0, here / self.total), said)
        except BaseException:
            self.stopped = True
            raise


def fetch_files(repo_id: str, commit: str, sizes: Mapping[str, int], report: Progress) -> None:
    """Bring files into the cache that are not there.

    Args:
        repo_id: "owner/name".
        commit: of the repository.
        sizes: bytes of each wanted file.
        report: called with the fraction of all bytes that are present and a sentence; what it raises stops the work.

    Raises:
        EncoderError: the disk has too little room, or a file arrived damaged.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    cache, folder = Path(constants.HF_HUB_CACHE), repo_folder_name(repo_id=repo_id, repo_type="model")
    blobs, locks = cache / folder / "blobs", cache / ".locks" / folder
    for made in (blobs, locks):
        made.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in sizes if not isinstance(try_to_load_from_cache(repo_id, name, revision=commit), str)]
    missing = sum(sizes[name] for name in wanted)
    _check_room(repo_id, blobs, missing)
    arrival = Arrival(repo_id, sum(sizes.values()), report)
    arrival.before = arrival.total - missing
    for name in wanted:
        _fetch_file(repo_id, commit, name, blobs, locks, arrival)
        arrival.before += sizes[name]


def _check_room(repo_id: str, folder: Path, wanted: int) -> None:
    partial = sum(path.stat().st_size for path in folder.glob("*.part"))
    free = shutil.disk_usage(folder).free + partial
    if wanted > free:
        raise EncoderError(
            f"{repo_id} needs {wanted / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free in {folder}: make room, or "
            "set HF_HOME to a folder on a larger disk."
        )


def _fetch_file(repo_id: str, commit: str, name: str, blobs: Path, locks: Path, arrival: Arrival) -> None:
    from filelock import FileLock, Timeout
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url, headers = hf_hub_url(repo_id, name, revision=commit), build_hf_headers()
    found = get_hf_file_metadata(url, timeout=CONNECT_SECONDS)
    if not found.etag or found.size is None:
        return  # the hub client can fetch what its server says so little of
    blob, part = blobs / found.etag, blobs / f"{found.etag}.part"
    lock = FileLock(locks / f"{found.etag}.part.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1.0)
        except Timeout:  # another process is at it
            arrival(size_of(part))
    try:
        if not blob.exists():
            resumed = size_of(part) > 0
            _stream(url, headers, part, found.size, arrival)
            if resumed and len(found.etag) == SHA256 and _hash(part) != found.etag:
                part.unlink()
                raise EncoderError(f"{name} of {repo_id} arrived damaged: try again, it is fetched anew.")
            part.replace(blob)
    finally:
        lock.release()


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _stream(url: str, headers: Mapping[str, str], part: Path, size: int, arrival: Arrival) -> None:
    """Append to the part until it is whole; a connection that breaks is taken up again."""
    tries = TRIES
    while (have := size_of(part)) != size:
        arrival(min(have, size))
        if have > size:
            part.unlink()
            continue
        try:
            _append(url, headers, part, have, arrival)
        except Exception:  # of the hub client's HTTP library, which differs between its versions
            tries = TRIES if size_of(part) > have else tries - 1
            if tries == 0 or arrival.stopped:
                raise
            time.sleep(PAUSE_SECONDS)


def _append(url: str, headers: Mapping[str, str], part: Path, have: int, arrival: Arrival) -> None:
    from huggingface_hub import get_session

    asked = {**headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    answer = get_session().stream("GET", url, headers=asked, follow_redirects=True, timeout=READ_SECONDS)
    with answer as response:
        response.raise_for_status()
        goes_on = response.status_code == 206
        with part.open("ab" if goes_on else "wb") as file:
            arrived = have if goes_on else 0
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                file.flush()
                arrived += len(chunk)
                arrival(arrived)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
