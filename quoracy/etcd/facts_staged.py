"""What the generations on a host hold: one process for the digests of all their files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quoracy.etcd.scripts_staged import RELEASE_LINK, STAGED_FILES, content_text
from quoracy.hosts.question import Answer

_LINE = re.compile(r"([0-9a-f]{64})  .*/generations/([0-9a-f]{12})/([^/]+)")


def staged_question(config_dir: str) -> str:
    """Question for the digests of all staged files; only regular ones are read."""
    files = " ".join(f"{config_dir}/generations/*/{name}" for name in STAGED_FILES)
    return f"for f in {files}; do [ -f $f ] && set -- $@ $f; done; [ $# = 0 ] || sha256sum $@"


def staged_links(config_dir: str) -> str:
    """Pattern of the links to releases; their targets come with the other files."""
    return f"{config_dir}/generations/*/{RELEASE_LINK}"


def parse_staged(answer: Answer, links: Mapping[str, str], config_dir: str) -> dict[str, str]:
    """What each complete generation holds, by name; see `staged_content`."""
    digests: dict[str, dict[str, str]] = {}
    for line in answer.lines:
        if found := _LINE.fullmatch(line):
            digests.setdefault(found[2], {})[found[3]] = found[1]
    releases = {
        name: links.get(f"{config_dir}/generations/{name}/{RELEASE_LINK}") for name in digests
    }
    return {
        name: content_text(name, found, release)
        for name, found in digests.items()
        if (release := releases[name]) and set(found) == set(STAGED_FILES)
    }
