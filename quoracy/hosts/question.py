"""A fact is a question and the parser of its answer; all questions of a host travel in one script.

The answer is framed: one line per question with its name and base64 of what it printed, followed by
its exit code. No shell makes JSON, and no answer can be mistaken for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.limits import MIB, QUESTION_BYTES

_MARK = "@@"
_EXIT = b"\n@exit="


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question printed to standard output, and its exit code."""

    text: str
    exit_code: int

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        # Not splitlines(): names of files may hold what that takes for an end of a line.
        return [line for line in self.text.split("\n") if line.strip()]

    @property
    def pairs(self) -> dict[str, str]:
        """`key=value` lines, as `systemctl show` and os-release print them."""
        return dict(line.split("=", 1) for line in self.lines if "=" in line)


def ask_all(questions: Mapping[str, str]) -> str:
    """One script for all questions, which run side by side.

    A gather costs as much as the processes it starts, so fragments use what the shell can do itself.

    Args:
        questions: Shell fragment by name; a fragment that fails spoils only its own answer.
    """
    asked = "\n".join(
        f"{{ ( {fragment}\n); printf '\\n@exit=%s' $?; }} >$d/{name} 2>/dev/null &"
        for name, fragment in questions.items()
    )
    told = "\n".join(f"printf '{_MARK}{name} '; base64 -w0 $d/{name}; echo" for name in questions)
    # /run is a tmpfs: looking at a host writes nothing to its disks. A block of `ulimit` has 512 bytes.
    return (
        f"d=$(mktemp -d /run/quoracy.XXXXXX)\ntrap 'rm -rf $d' EXIT\n"
        f"ulimit -f {QUESTION_BYTES // 512}\n{asked}\nwait\n{told}\n"
    )


def parse_answers(output: bytes) -> dict[str, Answer]:
    """The answers by question.

    Raises:
        Unreadable: The output is not framed as `ask_all` makes it.
    """
    answers: dict[str, Answer] = {}
    for line in output.split(b"\n"):
        if not line.startswith(_MARK.encode()):
            continue
        name, _, encoded = line[len(_MARK) :].decode("utf-8", "replace").partition(" ")
        if name in answers:
            raise Unreadable(f"{bounded.one_line(name)}: there are two answers")
        answers[name] = bounded.read(name, _framed, encoded)
    return answers


def _framed(encoded: str) -> Answer:
    told = bounded.unbase64(encoded)
    if len(told) >= QUESTION_BYTES:
        raise Unreadable(f"its answer is larger than {QUESTION_BYTES // MIB} MiB, and was cut off")
    text, _, code = told.rpartition(_EXIT)
    exit_code = bounded.whole(code.decode("utf-8", "replace"), "its exit code", 255)
    return Answer(text.decode("utf-8", "replace"), exit_code)
