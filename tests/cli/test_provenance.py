"""An output stands for one recording, whatever lies beside it, comes later or ends the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.cli import records
from clova_speech_async.cli.inputs import Source
from clova_speech_async.cli.outputs import Outputs
from clova_speech_async.cli.records import NAME, Record, Records, identify


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text().strip() for path in sorted(folder.rglob("[!.]*.txt"))}


@pytest.fixture
def transcribe(command: Any) -> Any:
    def run(*arguments: str) -> Any:
        return command(*arguments, "-o", "out")

    return run


def test_a_neighbour_of_the_same_stem_gets_a_name_of_its_own(
    shell: Any, folder: Path, service: Any, make_wav: Any
) -> None:
    assert shell("transcribe", "in/sub", "-o", "out").returncode == 0
    (folder / "in/sub/c.mp3").write_bytes(make_wav(7))  # it comes first in the folder's order
    done = shell("transcribe", "in/sub", "-o", "out")
    assert done.returncode == 0
    assert texts(folder / "out") == {"c.txt": "number 2", "c.mp3.txt": "number 7"}
    assert service.sent == [2, 7]
    assert "1 passed over: its output is there already (--force writes it again): in/sub/c.wav\n" in done.stderr
    done = shell("transcribe", "in/sub", "-o", "out")
    assert service.sent == [2, 7]
    assert "2 passed over: their outputs are there already (--force writes them again): " in done.stderr
    assert "in/sub/c.mp3, in/sub/c.wav\n" in done.stderr


def test_what_came_in_the_place_of_a_recording_that_has_gone_is_transcribed(
    transcribe: Any, folder: Path, service: Any, make_wav: Any
) -> None:
    transcribe("in/sub")
    (folder / "in/sub/c.wav").rename(folder / "gone.wav")
    (folder / "in/sub/c.ogg").write_bytes(make_wav(7))
    assert transcribe("in/sub").exit_code == 0
    assert texts(folder / "out") == {"c.txt": "number 2", "c.ogg.txt": "number 7"}


def test_two_folders_one_after_the_other_into_the_same(
    transcribe: Any, folder: Path, service: Any, make_wav: Any
) -> None:
    (folder / "other").mkdir()
    (folder / "other/a.wav").write_bytes(make_wav(7))
    transcribe("in/a.wav", "in/b.wav")
    assert transcribe("other").exit_code == 0
    assert texts(folder / "out") == {"a.txt": "number 0", "b.txt": "number 1", "a.wav.txt": "number 7"}
    transcribe("in/a.wav", "in/b.wav", "other")
    transcribe("other", "in/b.wav", "in/a.wav")
    assert len(service.sent) == 3


def test_a_recording_that_was_changed_is_transcribed_beside_and_told(
    transcribe: Any, folder: Path, service: Any, make_wav: Any
) -> None:
    transcribe("in/a.wav", "in/b.wav")
    before = (folder / "in/a.wav").stat()
    (folder / "in/a.wav").write_bytes(make_wav(7))  # of the same size
    os.utime(folder / "in/a.wav", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    done = transcribe("in/a.wav", "in/b.wav")
    assert "in/a.wav is not any more what out/a.txt was made from: it goes to out/a.wav.txt" in done.stderr
    assert texts(folder / "out") == {"a.txt": "number 0", "b.txt": "number 1", "a.wav.txt": "number 7"}
    assert transcribe("in/a.wav", "in/b.wav").exit_code == 0
    assert len(service.sent) == 3
    (folder / "in/a.wav").write_bytes(make_wav(8))
    done = transcribe("in/a.wav", "--force")  # its own last one, and nobody else's
    assert texts(folder / "out") == {"a.txt": "number 0", "b.txt": "number 1", "a.wav.txt": "number 8"}


def test_the_same_content_is_passed_over_when_it_was_touched_or_moved(
    transcribe: Any, folder: Path, service: Any
) -> None:
    transcribe("in")
    os.utime(folder / "in/a.wav")
    (folder / "in").rename(folder / "moved")
    done = transcribe("moved")
    assert (done.exit_code, len(service.sent)) == (0, 3)
    assert "3 passed over" in done.stderr


def test_outputs_that_were_edited_deleted_or_copied(transcribe: Any, folder: Path, service: Any) -> None:
    transcribe("in")
    (folder / "out/a.txt").write_text("edited by hand")
    (folder / "out/b.txt").unlink()
    done = transcribe("in")
    assert done.exit_code == 0
    assert texts(folder / "out") == {"a.txt": "edited by hand", "b.txt": "number 1", "sub/c.txt": "number 2"}
    assert sorted(service.sent) == [0, 1, 1, 2]
    for path in (folder / "out").rglob("*.txt"):
        os.utime(path, (1, 1))  # as a copy that keeps no times
    transcribe("in")
    assert len(service.sent) == 4
    transcribe("in", "--force")
    assert texts(folder / "out")["a.txt"] == "number 0"


def test_outputs_of_which_nothing_is_known_are_neither_taken_nor_lost(
    transcribe: Any, folder: Path, service: Any
) -> None:
    (folder / "out").mkdir()
    (folder / "out/b.txt").write_text("mine")
    done = transcribe("in")
    assert done.exit_code == 0
    assert (
        "out/b.txt is there, and no record tells what it was made from: in/b.wav goes to out/b.wav.txt" in done.stderr
    )
    assert texts(folder / "out")["b.txt"] == "mine"
    assert texts(folder / "out")["b.wav.txt"] == "number 1"
    transcribe("in")
    assert sorted(service.sent) == [0, 1, 2]


def test_outputs_of_which_nothing_is_known_can_be_adopted(transcribe: Any, folder: Path, service: Any) -> None:
    transcribe("in")
    (folder / "out" / NAME).unlink()
    done = transcribe("in", "--adopt")
    assert "3 passed over" in done.stderr
    transcribe("in")
    assert len(service.sent) == 3  # it is known now
    (folder / "out" / NAME).unlink()
    transcribe("in", "--force")
    assert len(texts(folder / "out")) == 3
    assert len(service.sent) == 6


def test_many_that_are_passed_over_are_named_as_far_as_it_helps(transcribe: Any, folder: Path, make_wav: Any) -> None:
    for number in range(5):
        (folder / "in" / f"n{number}.wav").write_bytes(make_wav(10 + number))
    transcribe("in")
    assert ": in/a.wav, in/b.wav, in/n0.wav and 5 more\n" in transcribe("in").stderr


def test_runs_side_by_side_mix_nothing_up(start: Any, folder: Path, service: Any, make_wav: Any) -> None:
    for name, first in (("one", 100), ("two", 200)):
        (folder / name).mkdir()
        for number in range(20):
            (folder / name / f"{number}.wav").write_bytes(make_wav(first + number))
    processes = [start(name, "-o", "out") for name in ("one", "two")]
    assert [process.communicate(timeout=60) and process.returncode for process in processes] == [0, 0]
    found = texts(folder / "out")
    assert sorted(found.values()) == sorted(f"number {first + n}" for first in (100, 200) for n in range(20))
    assert all(int(text.split()[1]) % 100 == int(name.split(".")[0]) for name, text in found.items())
    for name in ("two", "one"):
        with start(name, "-o", "out") as process:
            process.communicate(timeout=60)
    assert len(service.sent) == 40
    assert texts(folder / "out") == found


@pytest.mark.parametrize("after", [0, 3, 8, 15])
def test_whatever_a_kill_leaves_behind_no_output_is_another_recordings(
    start: Any, folder: Path, service: Any, make_wav: Any, after: int
) -> None:
    (folder / "one").mkdir()
    for number in range(30):
        (folder / "one" / f"{number:02}.{'wav' if number % 2 else 'ogg'}").write_bytes(make_wav(number))
        (folder / "one" / f"{number:02}.mp3").write_bytes(make_wav(100 + number))
    with start("one", "-o", "out") as process:
        for _ in range(9 + after):
            assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.communicate(timeout=30)
    with (folder / "out" / NAME).open("ab") as file:
        file.write(b'\n{"output":"00.txt","source":"/torn')
    (folder / "one/29.mp3").unlink()  # the neighbours of the second run are others
    with start("one", "-o", "out") as process:
        assert process.communicate(timeout=60)
        assert process.returncode == 0
    records = Records(folder / "out")
    records.refresh()
    made = {}
    for name, text in texts(folder / "out").items():
        (owner,) = records.owners(name, folder / "out" / name)
        made[Path(owner.source).name] = text
    expected = {
        path.name: f"number {int.from_bytes(path.read_bytes()[44:48], 'little')}" for path in (folder / "one").iterdir()
    }
    assert made.items() >= expected.items()


def test_two_recordings_of_one_content_share_an_output_and_nothing_grows(
    transcribe: Any, folder: Path, service: Any
) -> None:
    (folder / "copies").mkdir()
    shutil.copy(folder / "in/a.wav", folder / "copies/a.wav")
    transcribe("in/a.wav")
    transcribe("copies")
    size = (folder / "out" / NAME).stat().st_size
    for _ in range(3):
        assert "1 passed over" in transcribe("copies").stderr
        assert "1 passed over" in transcribe("in/a.wav", "in/absent.wav").stderr
    assert ((folder / "out" / NAME).stat().st_size, service.sent) == (size, [0])
    (folder / "out/a.txt").write_text("edited by hand")
    for where in ("copies", "in/a.wav", "copies"):
        transcribe(where)
    assert ((folder / "out" / NAME).stat().st_size, service.sent) == (size, [0])
    (folder / "copies/a.wav").write_bytes((folder / "in/b.wav").read_bytes())
    transcribe("copies", "--force")  # not over what is the other one's, too
    assert texts(folder / "out") == {"a.txt": "edited by hand", "a.wav.txt": "number 1"}


# --- the records themselves ---------------------------------------------------------------------------


def put(folder: Path, name: str, data: bytes) -> Source:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Source(path, Path(path.name), str(path))


def test_a_claim_that_was_never_carried_out_owns_nothing(tmp_path: Path) -> None:
    """A kill between the record and the output; then a file of somebody else's takes the name."""
    out = tmp_path / "out"
    out.mkdir()
    source = put(tmp_path, "a.wav", b"audio")
    identity = identify(source.real)
    Records(out).add(Record("a.txt", identity.path, identity.size, identity.mtime_ns, output_size=9, output_mtime_ns=9))
    assert Outputs(out, ".txt").assign(source).path == out / "a.txt"
    (out / "a.txt").write_text("somebody else's")
    place = Outputs(out, ".txt").assign(source)
    assert (place.there, place.path, place.aside) == (False, out / "a.wav.txt", "unknown")


def test_the_output_is_there_and_the_kill_came_before_it_was_confirmed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = put(tmp_path, "a.wav", b"audio")
    outputs = Outputs(out, ".txt")
    outputs.publish(outputs.assign(source), "text")
    lines = (out / NAME).read_bytes().split(b"\n")
    assert [json.loads(line).get("done", False) for line in lines[1:]] == [False, True]
    (out / NAME).write_bytes(b"\n".join(lines[:-1]))
    assert Outputs(out, ".txt").assign(source).there


def test_what_another_process_writes_is_seen_while_the_run_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = put(tmp_path, "a.wav", b"audio")
    other = put(tmp_path, "elsewhere/a.wav", b"different")
    first, second = Outputs(out, ".txt"), Outputs(out, ".txt")
    mine, same, another = first.assign(source), second.assign(source), Outputs(out, ".txt").assign(other)
    assert mine.path == same.path == another.path
    assert first.publish(mine, "one") == out / "a.txt"
    assert second.publish(same, "two") == out / "a.txt"  # it is that recording's
    assert (out / "a.txt").read_text() == "one"
    assert Outputs(out, ".txt").publish(another, "three") == out / "a.wav.txt"
    assert second.assign(put(tmp_path, "third/a.wav", b"audio and more")).path == out / "a-2.txt"


def test_half_a_record_is_read_when_it_is_whole(tmp_path: Path) -> None:
    one = Record("a.txt", "/a.wav", 1, 2, "", 3, 4, True)
    records = Records(tmp_path)
    records.refresh()
    records.add(one)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[:20])
    (tmp_path / "a.txt").write_text("text")
    records.refresh()
    assert records.owners("a.txt", tmp_path / "a.txt") == []
    (tmp_path / NAME).write_bytes(whole)
    records.refresh()
    assert records.owners("a.txt", tmp_path / "a.txt") == [one]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = put(tmp_path, "\udcff.wav", b"audio")
    outputs = Outputs(out, ".txt")
    outputs.publish(outputs.assign(source), "text")
    place = Outputs(out, ".txt").assign(source)
    assert place.there
    assert place.path.name == "\udcff.txt"


def test_a_recording_that_changes_while_it_is_transcribed_is_not_taken_for_what_it_became(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = put(tmp_path, "a.wav", b"audio")
    outputs = Outputs(out, ".txt")
    place = outputs.assign(source)
    source.path.write_bytes(b"other")
    os.utime(source.path, ns=(0, 0))
    outputs.publish(place, "text of what it was")
    again = Outputs(out, ".txt").assign(source)
    assert (again.there, again.aside) == (False, "changed")


def test_the_content_of_what_is_very_large_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_HASHED", 4)
    out = tmp_path / "out"
    source = put(tmp_path, "a.wav", b"audio")
    outputs = Outputs(out, ".txt")
    outputs.publish(outputs.assign(source), "text")
    assert Outputs(out, ".txt").assign(source).there
    os.utime(source.path, ns=(0, 0))
    assert not Outputs(out, ".txt").assign(source).there


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_in_the_place_of_the_records_is_refused(invoke: Any, folder: Path, service: Any) -> None:
    (folder / "out").mkdir()
    (folder / "out" / NAME).symlink_to(folder / "elsewhere")
    done = invoke("transcribe", "in", "-o", "out")
    assert done.returncode == 2
    assert f"nothing can be written there: {NAME} in it is a link" in done.stderr
    assert service.sent == []


def test_threads_that_read_the_records_at_once(tmp_path: Path) -> None:
    shared = Records(tmp_path)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            shared.refresh()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer = Records(tmp_path)
    for number in range(300):
        writer.add(Record(f"{number}.txt", f"/{number}.wav", 1, 2, done=True))
    stop.set()
    for reader in readers:
        reader.join()
    shared.refresh()
    (tmp_path / "x").write_text("")
    began = time.monotonic()
    assert all(shared.owners(f"{number}.txt", tmp_path / "x") for number in range(300))
    assert time.monotonic() - began < 5
