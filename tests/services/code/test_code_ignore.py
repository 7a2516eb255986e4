"""`.deployignore`, held against git itself."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.services.code.ignore import LOCK_FILES, Ignore, never_shipped
from quoracy.services.code.pattern import parse_pattern
from quoracy.services.code.scan import scan
from tests.services.code.code_trees import plant

# The reference's 22 paths and 11 rules, of which the original shipped four that git ignores and
# dropped four that git keeps.
PATHS = (
    b"index.js",
    b"src/app.js",
    b"src/app.test.js",
    b"src/deep/er/x.log",
    b"debug.log",
    b"keep.log",
    b"logs/a.log",
    b"logs/keep.log",
    b"dist/main.js",
    b"dist/keep.txt",
    b"foo/a",
    b"foo/bar/b",
    b"foo/baz/c",
    b"docs/readme.md",
    b"docs/sub/notes.md",
    b"build",
    b"sub/build/out",
    b"tmp/x",
    b"a/tmp/x",
    b"with space.txt",
    b"#hash",
    b"!bang",
)
RULES = (
    b"*.log",
    b"!keep.log",
    b"dist/",
    b"!dist/keep.txt",
    b"foo/*",
    b"!foo/bar",
    b"/build",
    b"docs/**/*.md",
    b"**/tmp/",
    b"\\#hash",
    b"\\!bang",
)
ATOMS = (
    *(b"a", b"b", b"foo", b"d", b"*", b"*", b"?", b"[ab]", b"[!a]", b"\\*", b"\\ ", b" ", b"*.txt"),
    *(b"keep.txt", b"[[:alpha:]]", b"[a-c]", b"[", b"\xc3\xa4", b"\t", b"[]x]", b"[\\]a]", b"#"),
    *(b"[z-a]", b"[[:nope:]]", b"[a-", b"\\", b"\\!", b"[^b]"),
)
NAMES = (b"a", b"b", b"foo", b"c.txt", b"keep.txt", b"\xc3\xa4", b"a b", b"*", b"x\n", b"d", b" ")
MORE_NAMES = (b"foo\n", b"ab", b"a ", b"!", b"]", b"#", b"\t", b"a\t", b"\xff")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=environment())
    return root


def environment() -> dict[str, str]:
    """The user's own ignore files would take part."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}


def kept_by_git(root: Path, content: bytes) -> set[bytes]:
    patterns = root.parent / "patterns"
    patterns.write_bytes(content)
    listed = subprocess.run(
        ["git", "ls-files", "-o", "-z", "-X", str(patterns)],
        cwd=root,
        env=environment(),
        capture_output=True,
        check=True,
    )
    return set(listed.stdout.split(b"\0")) - {b""}


def kept_by_us(root: Path, content: bytes) -> set[bytes]:
    ignore = Ignore.parse(content)

    def below(directory: bytes) -> Iterator[bytes]:
        for entry in os.scandir(os.fsencode(root) + b"/" + directory):
            path = directory + entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if entry.name == b".git" or ignore.drops(path, directory=is_directory):
                continue
            yield from below(path + b"/") if is_directory else (path,)

    return set(below(b""))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"  \n"])
def test_the_cases_of_the_reference(repository: Path, ending: bytes) -> None:
    plant(repository, dict.fromkeys(PATHS, b""))
    content = b"".join(rule + ending for rule in RULES)
    kept = kept_by_us(repository, content)
    assert kept == kept_by_git(repository, content)
    assert b"dist/keep.txt" not in kept  # its directory is left out, as in git
    assert {b"keep.log", b"logs/keep.log", b"foo/bar/b", b"sub/build/out"} <= kept


@pytest.mark.parametrize(
    "lines",
    [
        (b"*", b"!*/", b"!*.txt"),
        (b"*/", b"!foo"),
        (b"foo", b"!foo/a"),
        (b"a/**", b"!a/foo", b"!a/foo/**"),
        (b"/*", b"!/foo", b"/foo/*", b"!/foo/d"),
        (b"**/d/", b"!foo/d/"),
        (b"d/**/a",),
        (b"**",),
        (b"/**/*",),
        (b"**/",),
        (b"a//b", b"/", b"!", b"\\", b"[", b"#", b""),
        (b"?",),
        (b"[!a]",),
        (b"foo[!x]a",),
        (b"a\\ ", b"x* "),
        (b"\xef\xbb\xbffoo",),
    ],
)
def test_lines_that_are_read_differently_by_others(
    repository: Path, lines: tuple[bytes, ...]
) -> None:
    plant(repository, forest())
    content = b"\n".join(lines)
    assert kept_by_us(repository, content) == kept_by_git(repository, content)


def test_lines_at_random(repository: Path) -> None:
    plant(repository, forest())
    some = random.Random(4)
    for _ in range(150):
        content = b"\n".join(line(some) for _ in range(some.randint(1, 5)))
        assert kept_by_us(repository, content) == kept_by_git(repository, content), content


def forest() -> dict[bytes, bytes]:
    names = (*NAMES, *MORE_NAMES)
    paths = {name for name in names if name not in (b"a", b"foo", b"d")}
    for top in (b"a", b"foo", b"d"):
        paths |= {b"/".join((top, name)) for name in names if name not in (b"a", b"d")}
        paths |= {b"/".join((top, sub, name)) for sub in (b"a", b"d") for name in names}
    return dict.fromkeys(paths, b"")


def line(some: random.Random) -> bytes:
    """A pattern; git's own slips about `x**` and a slash behind a backslash are not asked for."""
    parts = []
    for _ in range(some.choice((1, 1, 2, 2, 3))):
        atoms = [some.choice(ATOMS) for _ in range(some.choice((1, 1, 2)))]
        parts.append(b"**" if some.random() < 0.15 else b"".join(atoms))
    text = b"/" * (some.random() < 0.2) + b"/".join(parts) + b"/" * (some.random() < 0.3)
    if b"\\/" in text or re.search(rb"[^/*]\*\*|\*\*[^/*]", text):
        return line(some)
    return b"!" * (some.random() < 0.35) + text + some.choice((b"", b"", b"", b" ", b"\r"))


def test_patterns_are_data(tmp_path: Path) -> None:
    hostile = b"'; touch pwned; '\n$(touch pwned)\n`touch pwned`\n--checkpoint-action=exec=sh\n"
    plant(tmp_path, {b"a": b"", b"$(touch pwned)": b"", b".deployignore": hostile})
    assert [entry.path for entry in scan(tmp_path).manifest.entries] == ["a"]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", sorted(LOCK_FILES))
@pytest.mark.parametrize("pattern", [b"%s", b"/%s", b"*", b"[!x]*", b"%.3s*"])
def test_no_lock_file_is_left_out(tmp_path: Path, name: bytes, pattern: bytes) -> None:
    rule = pattern % name if b"%" in pattern else pattern
    plant(tmp_path, {name: b"{}", b"deep/a": b"", b".deployignore": b"# mine\n\n" + rule + b"\n"})
    with pytest.raises(UsageError) as refused:
        scan(tmp_path)
    assert refused.value.where == ".deployignore:3"
    assert repr(rule.decode()) in refused.value.what
    assert name.decode() in refused.value.what


def test_a_lock_file_that_is_taken_back_or_is_not_at_the_root(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            b"package-lock.json": b"{}",
            b"examples/package-lock.json": b"{}",
            b".deployignore": b"package-lock.json\n!/package-lock.json\n",
        },
    )
    paths = [entry.path for entry in scan(tmp_path).manifest.entries]
    assert paths == ["examples", "package-lock.json"]


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        (b".git", True),
        (b".git", False),
        (b"sub/.git", True),
        (b"node_modules", True),
        (b"node_modules", False),
        (b"packages/a/node_modules", True),
        (b".venv", True),
        (b"venv", True),
        (b"__pycache__", True),
        (b"a/b.pyc", False),
        (b".env", False),
        (b".env.production", False),
        (b"sub/.envrc", False),
        (b".quoracy", True),
        (b".deployignore", False),
    ],
)
def test_never_shipped(path: bytes, directory: bool) -> None:
    assert never_shipped(path, directory=directory)


@pytest.mark.parametrize(
    "path", [b".env.example", b".gitignore", b"a/.deployignore", b"venv", b"env", b"a/.quoracy"]
)
def test_shipped_although_it_looks_alike(path: bytes) -> None:
    assert not never_shipped(path, directory=False)


def test_nothing_takes_back_what_is_never_shipped(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            b".env": b"TOKEN=1",
            b".env.example": b"TOKEN=",
            b".git/config": b"",
            b"node_modules/x/index.js": b"",
            b".deployignore": b"!.env\n!*\n!.git/\n!node_modules\n",
        },
    )
    assert [entry.path for entry in scan(tmp_path).manifest.entries] == [".env.example"]


def test_an_ignored_directory_is_not_entered(tmp_path: Path) -> None:
    """A pipe in it would be an error, were it seen."""
    plant(tmp_path, {b"a": b"", b"cache/x": b"", b".deployignore": b"cache/\n"})
    os.mkfifo(tmp_path / "cache" / "pipe")
    assert [entry.path for entry in scan(tmp_path).manifest.entries] == ["a"]


def test_an_ignore_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / ".deployignore").mkdir()
    with pytest.raises(UsageError, match="ignore file cannot be read"):
        Ignore.of(tmp_path)


@pytest.mark.parametrize("text", [b"", b"# a", b"   ", b"/", b"!", b"a\\", b"[a", b"a//b", b"\r"])
def test_lines_that_match_nothing(text: bytes) -> None:
    assert parse_pattern(text) is None
