from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.cli.inputs import Source
from clova_speech_async.cli.outputs import Outputs, OutputTakenError, publish, publish_partial


def source(relative: str, path: str | None = None) -> Source:
    return Source(Path(path or f"/audio/{relative}"), Path(relative))


def test_an_output_has_its_inputs_name(tmp_path: Path) -> None:
    plan = Outputs(tmp_path, ".srt")
    assert plan.assign(source("talk.wav")).path == tmp_path / "talk.srt"
    assert plan.assign(source("day 1/talk.wav")).path == tmp_path / "day 1/talk.srt"
    assert plan.assign(source("no suffix")).path == tmp_path / "no suffix.srt"
    assert plan.assign(source("v1.2.wav")).path == tmp_path / "v1.2.srt"


def test_two_inputs_never_have_one_output(tmp_path: Path) -> None:
    plan = Outputs(tmp_path, ".txt")
    names = ["a.wav", "a.mp3", "A.WAV", "a.wav", "a.mp3", "a-2.wav"]
    outputs = [plan.assign(source(name, f"/{number}/{name}")).path.name for number, name in enumerate(names)]
    assert outputs == ["a.txt", "a.mp3.txt", "A.WAV.txt", "a-2.txt", "a-3.txt", "a-2.wav.txt"]


@settings(deadline=None)
@given(st.lists(st.from_regex(r"[aA.\-2]{1,4}\.(wav|mp3|txt)", fullmatch=True), max_size=30))
def test_no_two_outputs_are_the_same_and_a_second_run_names_them_the_same(names: list[str]) -> None:
    first, second = Outputs(Path("out"), ".txt"), Outputs(Path("out"), ".txt")
    outputs = [first.assign(source(name)).path for name in names]
    assert len({str(output).casefold() for output in outputs}) == len(names)
    assert outputs == [second.assign(source(name)).path for name in names]


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "way").symlink_to(tmp_path / "elsewhere")
    (folder / "talk.txt").symlink_to(tmp_path / "elsewhere/talk.txt")
    plan = Outputs(folder, ".txt")
    for relative in ("way/a.wav", "talk.wav", "../b.wav", "/etc/c.wav"):
        with pytest.raises(OutputTakenError, match="would be written outside"):
            plan.assign(source(relative))


def test_an_output_is_never_its_input(tmp_path: Path) -> None:
    with pytest.raises(OutputTakenError, match="would be the file itself"):
        Outputs(tmp_path, ".txt").assign(source("notes.txt", str(tmp_path / "notes.txt")))


def test_the_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Outputs(tmp_path / "link", ".txt").assign(source("a.wav")).path == tmp_path / "link/a.txt"


def test_any_number_of_one_name_is_named_quickly(tmp_path: Path) -> None:
    plan = Outputs(tmp_path, ".txt")
    outputs = [plan.assign(source("a.wav", f"/{number}/a.wav")).path.name for number in range(12_000)]
    assert outputs[:4] == ["a.txt", "a.wav.txt", "a-2.txt", "a-3.txt"]
    assert outputs[-1] == "a-11999.txt"


# --- writing ------------------------------------------------------------------------------------------


def test_makes_the_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sub" / "talk.txt"
    publish(path, "안녕하세요\n", force=False)
    assert path.read_text("utf-8") == "안녕하세요\n"
    assert list(path.parent.iterdir()) == [path]


def test_never_over_a_file_unless_it_must(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("old")
    with pytest.raises(OutputTakenError, match="is there already; --force writes over it"):
        publish(path, "new", force=False)
    assert path.read_text() == "old"
    publish(path, "new", force=True)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_force_replaces_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    path = tmp_path / "talk.txt"
    path.symlink_to(target)
    with pytest.raises(OutputTakenError):
        publish(path, "new", force=False)
    publish(path, "new", force=True)
    assert target.read_text() == "precious"
    assert not path.is_symlink()


def test_without_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Path, target: Path) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", none)
    path = tmp_path / "talk.txt"
    publish(path, "one", force=False)
    assert path.read_text() == "one"
    with pytest.raises(OutputTakenError):
        publish(path, "two", force=False)
    assert path.read_text() == "one"


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clova_speech_async.whole_file.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path / "talk.txt", "text", force=True)
    assert list(tmp_path.iterdir()) == []


def test_a_part_has_a_name_that_no_output_has_and_replaces_nothing(tmp_path: Path) -> None:
    output = tmp_path / "sub/talk.srt"
    assert publish_partial(output, "a") == tmp_path / "sub/talk.srt.partial"
    (tmp_path / "sub/talk.srt.partial-2").symlink_to(tmp_path / "elsewhere")
    assert publish_partial(output, "b") == tmp_path / "sub/talk.srt.partial-3"
    assert (tmp_path / "sub/talk.srt.partial").read_text() == "a"
    assert not (tmp_path / "elsewhere").exists()
