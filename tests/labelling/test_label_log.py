"""The log: what a kill leaves is repaired, what someone edited is refused, one writes at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.errors import WriteError
from radloop.labelling.events import Event, LogError, digest_of, event_line, parse_log
from radloop.labelling.log import LOG, BusyError, EventLog, writing

whys = st.lists(st.text(max_size=20), min_size=1, max_size=5)


def written(folder: Path, *whys: str) -> tuple[Event, ...]:
    with writing(folder, new=True) as log:
        events: tuple[Event, ...] = ()
        for why in whys:
            events = (*events, log.append(events, "started", "me", why, {"x": why}))
    return events


def chain(whys: list[str]) -> bytes:
    content, before = b"", ""
    for number, why in enumerate(whys, start=1):
        line = event_line(Event(number, "drawn", "2026-01-01T00:00:00Z", "me", why, {}, before))
        content, before = content + line, digest_of(line)
    return content


def test_what_was_written_is_read(tmp_path: Path) -> None:
    events = written(tmp_path, "one", "two\nlines, ünïcode")
    assert EventLog(tmp_path).read() == events
    assert [event.number for event in events] == [1, 2]
    assert events[0].when.endswith("Z")


@given(whys, st.data())
def test_a_log_cut_anywhere_keeps_every_whole_line(whys: list[str], data: st.DataObject) -> None:
    content = chain(whys)
    cut = data.draw(st.integers(0, len(content)))
    events, torn = parse_log(content[:cut])
    assert len(events) == content[:cut].count(b"\n")
    assert torn == cut - (content[:cut].rfind(b"\n") + 1)
    assert [event.why for event in events] == whys[: len(events)]


@given(whys, st.data())
def test_a_line_that_changed_is_told(whys: list[str], data: st.DataObject) -> None:
    lines = chain([*whys, "last"]).splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 2))
    kind = data.draw(st.sampled_from(["edited", "removed", "swapped"]))
    if kind == "edited":
        lines[at] = lines[at].replace(b'"who":"me"', b'"who":"he"')
    elif kind == "removed":
        del lines[at]
    else:
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    with pytest.raises(LogError, match=r"Line \d+ of the log"):
        parse_log(b"".join(lines))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"no json\n", "damaged"),
        (b"[]\n", "damaged"),
        (b'{"n": 1}\n', "damaged"),
        (event_line(Event(1, "sung", "", "", "")), "newer Radloop"),
    ],
)
def test_a_line_that_is_no_event(line: bytes, said: str) -> None:
    with pytest.raises(LogError, match=said):
        parse_log(line)


def test_a_cut_off_line_is_dropped_by_the_next_writer(tmp_path: Path) -> None:
    events = written(tmp_path, "one", "two")
    path = tmp_path / LOG
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":3,"kind":"dra')
    reader = EventLog(tmp_path)
    assert reader.read() == events
    assert reader.repaired == 18
    assert path.read_bytes() != whole  # a reader changes nothing
    with writing(tmp_path) as log:
        assert path.read_bytes() == whole
        assert log.repaired == 18
        third = log.append(log.read(), "drawn", "me", "three", {})
    assert EventLog(tmp_path).read() == (*events, third)


def test_two_writers(tmp_path: Path) -> None:
    written(tmp_path, "one")
    with writing(tmp_path), pytest.raises(BusyError, match="Another command"), writing(tmp_path):
        pass
    with writing(tmp_path):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    written(tmp_path, "one")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from radloop.labelling.log import writing\n"
        "with writing(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert run.returncode == -9
    with writing(tmp_path):
        pass


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no labelling project"), writing(tmp_path / "typo"):
        pass
    assert not (tmp_path / "typo").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="cannot be written"), writing(tmp_path / "p", new=True):
        pass


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = written(tmp_path, "one")
    before = (tmp_path / LOG).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with writing(tmp_path) as log:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match="No space left"):
            log.append(events, "drawn", "me", "two", {})
    assert (tmp_path / LOG).read_bytes() == before
    assert json.loads(before)["why"] == "one"
