"""Who may rename what in a service's directory: nobody but root, from the first step on. Pure.

Root makes releases there and installs units from them. In a flat directory, which is the app user's,
the user could put others in their place. So the directory becomes root's before anything is made in it,
with the sticky bit: the service goes on writing there, and cannot touch what is root's (unlink(2), EPERM).
Whose it was is noted once, where only root can write, until the adoption is put back or ended.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from quoracy.hosts.script import Argv
from quoracy.operation.guard import state_dir
from quoracy.services.layout import release_path
from quoracy.services.scripts_made import MADE
from quoracy.services.spec import Service

LINKS = ("current", "previous", "current.quoracy-new", "previous.quoracy-new")
"""Links in a service's directory, with what a run that was killed while it made one has left."""


def owner_note(service: Service) -> str:
    """Where owner and mode of the flat directory are noted: a line `uid:gid mode`."""
    return f"{state_dir(service.subject)}/flat-owner"


def mark_path(service: Service) -> str:
    """The file that says which service a directory is kept for."""
    return f"{service.directory}/.quoracy/owner"


def secured(service: Service, *, flat: bool) -> tuple[str | Argv, ...]:
    """Fragments after which what is called like ours in the directory is root's, and stays so.

    Args:
        flat: Whether a service runs right in it, which must go on writing there.
    """
    directory = service.directory
    parents = " ".join(str(each) for each in PurePosixPath(directory).parents)
    return (
        f"user=$(id -u {service.user})",
        f"""[ "$user" = 0 ] || for at in {parents}; do
    [ "$(stat -L -c %u $at)" != "$user" ] || {{
        echo "$at belongs to {service.user}, who could replace all that lies in it; choose another app_dir" >&2
        exit 1
    }}
done""",
        *(_noted(service) if flat else ()),
        *(
            held(service)
            if flat
            else (
                f"[ -O {directory} ] || {{ chown root:root {directory}; chmod 0755 {directory}; }}",
                ("chmod", "go-w", directory),
            )
        ),
        f"""roots() {{
    [ -e "$1" ] || [ -L "$1" ] || return 0
    [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] \\
        || {{ echo "$1 is in the way: it is not a directory of root's" >&2; exit 1; }}
}}
for at in {directory}/.quoracy {directory}/{MADE} {directory}/releases {directory}/deps; do roots "$at"; done
for at in {directory}/{MADE}/releases/*; do
    roots "{directory}/releases/${{at##*/}}"; roots "{directory}/releases/${{at##*/}}/.quoracy"
done""",
    )


def held(service: Service) -> tuple[str | Argv, ...]:
    """Fragments that make a flat directory root's, as its note demands; the service can go on there."""
    directory, user, note = service.directory, service.user, owner_note(service)
    own = f'chown "root:$(id -g {user})" {directory}; chmod u=rwx,g=rwx,o=rx,ug-s,+t {directory}'
    return (
        f"if [ -e {note} ]; then",
        f"read -r owner mode < {note}",
        'case "$owner $mode" in',
        # Nobody but root can rename there.
        "0:*[0145][0145] | 0:*' '[1357]???) ;;",
        f'"$(id -u {user}):"*) {own} ;;',
        f"*) chown root {directory}; chmod u+rwx,ug-s,+t {directory} ;;",
        "esac",
        "fi",
    )


def owner_given_back(service: Service) -> tuple[str | Argv, ...]:
    """Fragments that give a flat directory back to whom it belonged; nothing of root's follows."""
    directory, note = service.directory, owner_note(service)
    return (
        f"if [ -e {note} ]; then",
        f"read -r owner mode < {note}",
        # The owner last: until then it is not taken for a directory that was never changed.
        f'chmod "$mode" {directory}',
        f'chown "$owner" {directory}',
        ("rm", "-f", note),
        "fi",
    )


def without_traps(service: Service) -> tuple[str | Argv, ...]:
    """Fragments that stop when the app user has made one of our names, while the directory was sticky."""
    directory = service.directory
    named = " -o ".join(f"-name {name}" for name in LINKS)
    return (
        f"traps=$(find -H {directory} -mindepth 1 -maxdepth 1 \\( {named} \\) ! -uid 0)",
        f"if [ -L {directory}/shared ] || [ ! -d {directory}/shared ]; then traps={directory}/shared; fi",
        '[ -z "$traps" ] || { echo "$traps is in the way: Quoracy has not made it" >&2; exit 1; }',
    )


def moved(service: Service) -> str:
    """A function of the shell that moves $3 from $1 to $2: the service's directory and a part of it, or back.

    Whoever owns a directory on the way may put a link in its place at any moment. What is open stays what
    it is, and the kernel tells where that lies.
    """
    directory = service.directory
    return f"""real=$(readlink -f {directory})
moved() {{
    below=''; case $3 in */*) below=/${{3%/*}} ;; esac
    exec 7< "$1$below/." 8< "$2$below/."
    if [ "$(readlink /proc/$$/fd/7)" != "$real${{1#{directory}}}$below" ] \\
        || [ "$(readlink /proc/$$/fd/8)" != "$real${{2#{directory}}}$below" ]; then
        echo "$3 leads through a link, so it is not moved" >&2; exit 1
    fi
    mv -T "/proc/$$/fd/7/${{3##*/}}" "/proc/$$/fd/8/${{3##*/}}"
    exec 7<&- 8<&-
}}"""


def marked(service: Service) -> str:
    """Fragment that says for which service the directory is kept; stops when it is another one.

    Once it is there, no process is started.
    """
    mark, subject = mark_path(service), service.subject
    return f"""if [ ! -s {mark} ]; then
    echo {subject} > {mark}.$$
    sync {mark}.$$
    # Of two at once one makes it.
    ln -T {mark}.$$ {mark} 2>/dev/null || :
    rm -f {mark}.$$
fi
read -r subject < {mark}
[ "$subject" = {subject} ] || {{ echo "{service.directory} is kept for $subject" >&2; exit 1; }}"""


def piped(pack: str, unpack: str, target: str, failed: str, what: str) -> tuple[str, ...]:
    """Fragments that pack what a user has made and unpack it in a directory of root's, or leave nothing there.

    At most nine tenths of what is free: a user must not fill a disk that others are on with root's help.

    Args:
        pack: It makes the file `failed` when it fails, as the exit code of a pipe's first command is lost.
        what: What it is, for the message.
    """
    return (
        f"room=$(df -Pk {target} | {{ read -r _; read -r _ _ _ free _; echo $((free * 921)); }})",
        f"{pack} | head -c $room | {unpack} || : > {failed}",
        f"[ ! -e {failed} ] || {{ rm -rf {failed} {target}; "
        f'echo "{what} could not be copied as it is; a copy may take nine tenths of what is free" >&2; exit 1; }}',
    )


def copied(source: str, target: str) -> tuple[str | Argv, ...]:
    """Fragments that copy what a user has made into a directory of root's, without programs that run as others.

    The user may still have a hand in the source, where chown and chmod could be led elsewhere: tar goes
    from directory to directory by what is open, and follows no link.
    """
    broken = f"{target}.broken"
    return (
        ("rm", "-rf", target, broken),
        ("mkdir", "-m", "0700", target),
        *piped(
            f"{{ tar -c -f - --sparse -C {source} . || : > {broken}; }}",
            f"tar -x -f - -C {target} --no-same-owner --no-same-permissions --no-overwrite-dir",
            target,
            broken,
            source,
        ),
        ("chmod", "-R", "u+rwX,go+rX,go-w", target),
    )


def require_root_owned(service: Service, release: str) -> str:
    """Fragment that stops when others than root could have put a release there; starts no process."""
    directory, path = service.directory, release_path(service, release)
    return f"""for at in {directory}/. {directory}/releases {path} {path}/.quoracy; do
    [ -O $at ] && [ ! -L $at ] || {{ echo "$at is not root's, and is not trusted" >&2; exit 1; }}
done"""


def _noted(service: Service) -> tuple[str | Argv, ...]:
    """Owner and mode, before they are changed; what an earlier run has made of them is not noted."""
    directory, note = service.directory, owner_note(service)
    return (
        ("mkdir", "-p", "-m", "0700", state_dir(service.subject)),
        f"found=$(stat -L -c '%u:%g %a' {directory})",
        # What an adoption makes of it, or a directory of root's that has its note.
        f"if [ \"$found\" != '0:0 755' ] && {{ [ ! -e {note} ] || [ ! -O {directory} ]; }}; then",
        f'echo "$found" > {note}.new',
        ("sync", f"{note}.new"),
        ("mv", "-f", "-T", f"{note}.new", note),
        "fi",
    )
