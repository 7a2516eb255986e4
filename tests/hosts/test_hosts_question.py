"""Questions and answers through a real shell; framing cannot be broken by what is answered."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.limits import QUESTION_BYTES
from quoracy.hosts.machine import files_question, parse_files
from quoracy.hosts.question import Answer, ask_all, parse_answers


def ask(questions: dict[str, str]) -> dict[str, Answer]:
    script = ask_all(questions)
    done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    return parse_answers(done.stdout)


def test_each_answer_has_its_own_text_and_exit_code() -> None:
    answers = ask({"fine": "echo a; echo b", "bad": "echo half; exit 3", "gone": "no-such-program"})
    assert answers["fine"] == Answer("a\nb\n", 0)
    assert answers["bad"] == Answer("half\n", 3)
    assert answers["gone"] == Answer("", 127)


def test_an_answer_that_looks_like_the_frame_stays_one_answer() -> None:
    answers = ask({"one": "printf '\\n@exit=7\\n@@two xyz'", "two": "true"})
    assert answers["one"] == Answer("\n@exit=7\n@@two xyz", 0)
    assert answers["two"] == Answer("", 0)


def test_questions_leave_nothing_behind() -> None:
    before = sorted(path.name for path in Path("/run").glob("quoracy.*"))
    ask({"one": "true"})
    assert sorted(path.name for path in Path("/run").glob("quoracy.*")) == before


def test_what_is_not_utf8_does_not_spoil_the_rest() -> None:
    assert ask({"one": "printf '\\377x'"})["one"].text == "�x"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"@@one %%%\n", "one: it is not base64"),
        (
            b"@@one " + base64.b64encode(b"no exit code") + b"\n",
            "one: its exit code is 'no exit code'",
        ),
        (b"@@one " + base64.b64encode(b"x\n@exit=abc") + b"\n", "one: its exit code is 'abc'"),
        (b"@@one " + base64.b64encode(b"x\n@exit=-1") + b"\n", "one: its exit code is '-1'"),
        (b"@@one \xff\xfe", "one: it is not base64"),
        (2 * (b"@@one " + base64.b64encode(b"x\n@exit=0") + b"\n"), "one: there are two answers"),
    ],
)
def test_a_broken_frame_names_the_question(output: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        parse_answers(output)


def test_noise_before_the_answers_is_skipped() -> None:
    framed = base64.b64encode(b"x\n@exit=0")
    assert parse_answers(b"Welcome!\n@@one " + framed + b"\n") == {"one": Answer("x", 0)}


def test_an_answer_without_an_end_is_cut_off_on_the_host_and_told(tmp_path: Path) -> None:
    """/run is memory: the host must not be filled either. Others keep their answers."""
    for endless in (
        "while :; do printf '%1000000s' x; done",
        "cat /dev/zero",
        "tar -cf - /dev/null " + str(tmp_path / "huge") + " | base64 -w0",
    ):
        (tmp_path / "huge").touch()
        os.truncate(tmp_path / "huge", 2**40)
        script = ask_all({"fine": "echo a", "files": endless})
        done = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=True)
        assert len(done.stdout) < 2 * QUESTION_BYTES
        with pytest.raises(Unreadable, match="files: its answer is larger than 16 MiB"):
            parse_answers(done.stdout)


def packed(name: str, data: bytes, mode: str = "w") -> Answer:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return Answer(base64.b64encode(made.getvalue()).decode(), 0)


def test_files_are_not_unpacked() -> None:
    """A megabyte of gzip stands for a gigabyte, and holes in a file for more than that."""
    assert parse_files(packed("a", b"x"))[0] == {"/a": b"x"}
    with pytest.raises(tarfile.TarError):
        parse_files(packed("a", bytes(2**24), "w:gz"))
    with TemporaryDirectory() as directory:
        os.truncate(os.open(f"{directory}/holes", os.O_CREAT | os.O_RDWR), 2**40)
        told = subprocess.run(
            f"tar -cSf - -C {directory} holes | base64 -w0",
            shell=True,
            capture_output=True,
            check=True,
        )
    assert parse_files(Answer(told.stdout.decode(), 0)) == ({}, {})


def test_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\0\xff\n@file /etc/shadow eA==\n")
    (tmp_path / "link").symlink_to("generations/abc")
    (tmp_path / "theirs").write_text("of another user")
    paths = (f"{tmp_path}/link", f"{tmp_path}/empty", f"{tmp_path}/bin*", f"{tmp_path}/absent")
    also = f"tar -cf - {tmp_path}/theirs {tmp_path}/none"
    files, links = parse_files(ask({"files": files_question(paths, also)})["files"])
    assert files == {
        f"{tmp_path}/theirs": b"of another user",
        f"{tmp_path}/empty": b"",
        f"{tmp_path}/binary": b"\0\xff\n@file /etc/shadow eA==\n",
    }
    assert links == {f"{tmp_path}/link": "generations/abc"}
