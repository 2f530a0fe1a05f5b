"""Versioned artefacts in a folder: arrays as npz, tables as parquet, all else as JSON, and never a pickle.

``ROOT/KIND/KEY.json`` is the manifest of an artefact and names its data files with their checksums. Data files carry
their checksum in their name and are written first, so that putting the manifest in place is the one step that counts:
a reader sees the old artefact or the new one. What is damaged or of another version is absent, with the reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import EncoderInfo, Exploration, Fit, Groups, Similarity, TokenKind, TokenLayout, View

if TYPE_CHECKING:
    import pandas as pd

EXPLORATION_VERSION = 1  # raise when what an exploration's arrays mean changes
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Artefact:
    """What was saved under a key: ``meta`` as JSON gives it back, arrays and tables by name."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """There is nothing to use, and why."""

    reason: str


def content_key(*parts: object) -> str:
    """Key of what an artefact was made from: 20 hex digits, equal for parts of equal JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class Store:
    """Artefacts in one folder, which is made when something is first saved."""

    def __init__(self, root: str | Path) -> None:
        """Use the folder ``root``."""
        self.root = Path(root)

    def save(self, kind: str, key: str, version: int, artefact: Artefact) -> Path:
        """Put an artefact in place of what was there; returns the manifest's path.

        Raises:
            ValueError: the kind or key is no plain name, an array holds objects, or ``meta`` is not strict JSON.
            OSError: the folder cannot be written.
        """
        manifest = self._manifest(kind, key)
        manifest.parent.mkdir(parents=True, exist_ok=True)
        contents = {f"{name}.parquet": _parquet(table) for name, table in artefact.tables.items()}
        if artefact.arrays:
            contents["arrays.npz"] = _npz(artefact.arrays)
        files = {}
        for name, content in contents.items():
            digest = hashlib.sha256(content).hexdigest()
            file = f"{key}.{digest[:12]}.{name}"
            _write(manifest.parent / file, content)
            files[name] = {"file": file, "sha256": digest}
        said = {"kind": kind, "key": key, "version": version, "files": files, "meta": artefact.meta}
        _write(manifest, json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False).encode())
        for old in manifest.parent.glob(f"{key}.*.*"):
            if old.name not in {entry["file"] for entry in files.values()}:
                old.unlink(missing_ok=True)
        return manifest

    def load(self, kind: str, key: str, version: int) -> Artefact | Absent:
        """The artefact saved under a key by this version, or why there is none; raises nothing."""
        manifest = self._manifest(kind, key)
        if not manifest.is_file():
            return Absent(f"nothing was saved as {manifest}")
        try:
            said = json.loads(manifest.read_bytes())
            if said["version"] != version:
                return Absent(f"{manifest} is of version {said['version']} and {version} is needed")
            arrays, tables = {}, {}
            for name, entry in said["files"].items():
                content = (manifest.parent / Path(entry["file"]).name).read_bytes()
                if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                    return Absent(f"{entry['file']} is damaged: its checksum is not the one in {manifest}")
                if name.endswith(".parquet"):
                    import pandas as pd

                    tables[name.removesuffix(".parquet")] = pd.read_parquet(io.BytesIO(content))
                else:
                    with np.load(io.BytesIO(content), allow_pickle=False) as arrays_read:
                        arrays = dict(arrays_read)
            return Artefact(said["meta"], arrays, tables)
        except _DAMAGE as error:
            return Absent(f"{manifest} is damaged: {type(error).__name__}: {error}")

    def meta(self, kind: str, key: str, version: int) -> dict[str, Any] | Absent:
        """The ``meta`` of an artefact without its data, which are not read and not checked; raises nothing."""
        manifest = self._manifest(kind, key)
        try:
            said = json.loads(manifest.read_bytes())
            if said["version"] != version:
                return Absent(f"{manifest} is of version {said['version']} and {version} is needed")
            return dict(said["meta"])
        except FileNotFoundError:
            return Absent(f"nothing was saved as {manifest}")
        except _DAMAGE as error:
            return Absent(f"{manifest} is damaged: {type(error).__name__}: {error}")

    def keys(self, kind: str) -> list[str]:
        """Keys that have a manifest of this kind, sorted."""
        return sorted(path.stem for path in (self.root / kind).glob("*.json"))

    def _manifest(self, kind: str, key: str) -> Path:
        if not (re.fullmatch(r"[\w-]+", kind) and re.fullmatch(r"[\w-]+", key)):
            raise ValueError(f"{kind}/{key} is no name of an artefact: use letters, digits, - and _")
        return self.root / kind / f"{key}.json"


def exploration_key(picture_key: str, encoder_id: str, fit: Fit) -> str:
    """Key of an exploration; ``fit`` as it was asked for."""
    return content_key(picture_key, encoder_id, fit.value)


def save_exploration(store: Store, exploration: Exploration, fit: Fit = Fit.ENCODER) -> Path:
    """Save an exploration for showing it without its encoder; ``fit`` as it was asked for.

    ``change`` and ``norm`` are rounded to float16 and float32: cosines keep three decimals.
    """
    plain = {name: getattr(exploration, name) for name in ("picture_name", "picture_key", "notes", "size_px")}
    plain |= {name: _number(getattr(exploration, name)) for name in ("forward_seconds", "analysis_seconds")}
    view, layout = exploration.view, exploration.layout
    meta = plain | {
        "encoder": dataclasses.asdict(exploration.encoder),
        "view": {"box_px": [float(edge) for edge in view.box_px], "fit": view.fit.value},
        "layout": {"kinds": [kind.value for kind in layout.kinds], "rows": layout.rows, "cols": layout.cols},
        "similarity": {name: [found.kind, found.pictures] for name, found in exploration.similarity.items()},
        "groups": {
            name: dataclasses.asdict(found) | {"clarity": _number(found.clarity)}
            for name, found in exploration.groups.items()
        },
    }
    arrays = {
        "view_pixels": view.pixels,
        "change": exploration.change.astype(np.float16),
        "norm": exploration.norm.astype(np.float32),
        "pca_joint": exploration.pca_joint,
        "pca_each": exploration.pca_each,
    }
    for name, found in exploration.similarity.items():
        arrays[f"similarity_{name}"], arrays[f"stderr_{name}"] = found.mean, found.stderr
    key = exploration_key(exploration.picture_key, exploration.encoder.id, fit)
    return store.save("exploration", key, EXPLORATION_VERSION, Artefact(meta, arrays))


def load_exploration(store: Store, picture_key: str, encoder_id: str, fit: Fit = Fit.ENCODER) -> Exploration | Absent:
    """The exploration saved for a picture, an encoder and a fit, with ``live`` False; or why there is none."""
    key = exploration_key(picture_key, encoder_id, fit)
    found = store.load("exploration", key, EXPLORATION_VERSION)
    if isinstance(found, Absent):
        return found
    try:
        return _exploration(found)
    except _DAMAGE as error:
        return Absent(f"exploration {key} is damaged: {type(error).__name__}: {error}")


def _exploration(found: Artefact) -> Exploration:
    meta, arrays = found.meta, found.arrays
    kinds = tuple(TokenKind(kind) for kind in meta["layout"]["kinds"])
    groups = {
        name: Groups(
            tuple(said["starts"]), said["stop"], tuple(said["names"]), _nan_if_none(said["clarity"]), said["source"]
        )
        for name, said in meta["groups"].items()
    }
    left, top, right, bottom = meta["view"]["box_px"]
    width, height = meta["size_px"]
    return Exploration(
        picture_name=meta["picture_name"],
        picture_key=meta["picture_key"],
        notes=tuple(meta["notes"]),
        size_px=(width, height),
        encoder=EncoderInfo(**meta["encoder"]),
        view=View(arrays["view_pixels"], (left, top, right, bottom), Fit(meta["view"]["fit"])),
        layout=TokenLayout(kinds, meta["layout"]["rows"], meta["layout"]["cols"]),
        similarity={
            name: Similarity(kind, arrays[f"similarity_{name}"], arrays[f"stderr_{name}"], pictures)
            for name, (kind, pictures) in meta["similarity"].items()
        },
        groups=groups,
        change=arrays["change"].astype(np.float32),
        norm=arrays["norm"],
        pca_joint=arrays["pca_joint"],
        pca_each=arrays["pca_each"],
        forward_seconds=_nan_if_none(meta["forward_seconds"]),
        analysis_seconds=_nan_if_none(meta["analysis_seconds"]),
        live=False,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _nan_if_none(value: float | None) -> float:
    return float("nan") if value is None else value


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    if wrong := [name for name, array in arrays.items() if array.dtype.hasobject]:
        raise ValueError(f"Arrays of Python objects cannot be saved: {', '.join(wrong)}")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write under a passing name and rename, so that no reader sees half a file."""
    passing = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        passing.write_bytes(content)
        os.replace(passing, path)
    finally:
        passing.unlink(missing_ok=True)
