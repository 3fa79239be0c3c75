"""Where the control socket is, and that it is its owner's alone."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from watcherd.state import StateFolder
from watcherd.status.listening import ControlSocketError, listen


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "s")
    folder.create()
    return folder


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_it_is_made_in_the_state_folder_for_its_owner_alone_whatever_the_umask(state: StateFolder) -> None:
    before = os.umask(0)
    try:
        listener, path = listen(state, {})
        after = os.umask(0)
    finally:
        os.umask(before)
    with listener:
        assert path == state.path / "control.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert after == 0, "the umask is put back"
        connect(path)


def test_the_services_runtime_folder_comes_first(state: StateFolder, tmp_path: Path) -> None:
    listener, path = listen(state, {"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"})
    with listener:
        assert path == tmp_path / "watcherd.sock"
        connect(path)


def test_one_that_a_dead_daemon_left_is_replaced(state: StateFolder) -> None:
    listen(state, {})[0].close()
    listener, path = listen(state, {})
    with listener:
        connect(path)


def test_another_daemons_socket_in_a_shared_runtime_folder_is_left_alone(
    state: StateFolder, tmp_path: Path
) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    other = StateFolder(tmp_path / "o")
    other.create()
    first, place = listen(other, environ)
    second, path = listen(state, environ)
    with first, second:
        assert (place, path) == (tmp_path / "watcherd.sock", state.path / "control.sock")
        connect(place)


def test_something_else_in_its_place_is_left_alone_and_said(state: StateFolder) -> None:
    (state.path / "control.sock").write_text("mine")
    with pytest.raises(ControlSocketError, match="Address already in use"):
        listen(state, {})
    assert (state.path / "control.sock").read_text() == "mine"


@pytest.mark.parametrize("length", [107, 108])
def test_a_path_is_refused_only_where_the_system_would_refuse_it(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("x" * (length - len(str(tmp_path)) - len("//control.sock")))
    folder.mkdir()
    deep = StateFolder(folder)
    if length == 107:
        listener, path = listen(deep, {})
        with listener:
            assert len(bytes(path)) == length
            connect(path)
    else:
        with pytest.raises(ControlSocketError, match="has 108 bytes, and the system allows 107"):
            listen(deep, {})
