"""One step of a redeployment in, its effect on the host: the only place where plans become changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from quoracy.db.models import Release
from quoracy.db.services import record_release
from quoracy.errors import CommandFailed, CommandTimeout, StepFailed
from quoracy.hosts.bounded import one_line
from quoracy.operation.guard import guarded
from quoracy.operation.step import Step
from quoracy.redact import redact
from quoracy.services import (
    scripts,
    scripts_adopt,
    scripts_flat,
    scripts_release,
    scripts_switch,
    steps,
)
from quoracy.services.advice import advice, is_kept
from quoracy.services.code.build import host_build
from quoracy.services.code.dependencies import dependencies, host_command
from quoracy.services.code.scan import scan
from quoracy.services.code.stream import deleted_list, release_stream, stream_size
from quoracy.services.facts import ReleaseFacts, record_of
from quoracy.services.manifest import Manifest, difference
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.site import Code, ServiceSite
from quoracy.services.spec import Service
from quoracy.services.templates import render_unit
from quoracy.services.wait import await_service

SHORT_S, COPY_S = 30.0, 600.0
LAST_LINES = 10
MAX_LEFT = 20
MARGIN_S = 60.0
"""Added where the script has a limit of its own, which says what did not end."""


def apply_service_step(step: Step, site: ServiceSite) -> str:
    """Carry out one step.

    Returns:
        One line for the journal; may be empty.

    Raises:
        QuoracyError: The step failed; nothing was tried twice.
    """
    try:
        return _APPLY[type(step)](step, site)
    except (CommandFailed, StepFailed) as error:
        error.next_step = error.next_step or advice(step, site.service)
        before = site.found.get(step.host)
        if before is not None and is_kept(step, before):
            error.add_note("there was no release to go back to, so the new one stays as it is")
        raise


def _build_here(step: steps.BuildHere, site: ServiceSite) -> str:
    code, _ = _wanted(site)
    return code.build(step.architecture, home=site.home.path, log=site.log)


def _build_release(step: steps.BuildRelease, site: ServiceSite) -> str:
    code, _ = _wanted(site)
    limit = site.service.redeploy.build_timeout
    command = host_build(site.service, code.source)
    script = scripts_release.build_release(
        site.service, step.release, command, limit, time=site.times.now
    )
    return _shown(step, site, script, limit + MARGIN_S)


def _prepare(step: steps.PrepareService, site: ServiceSite) -> str:
    flat = site.found[step.host].layout == "flat"
    return _run(step, site, scripts.prepare_service(site.service, flat=flat), SHORT_S)


def _keep_flat(step: steps.KeepFlat, site: ServiceSite) -> str:
    record = record_of(_record(step.host, step.release, site, note="flat directory"))
    return _run(step, site, scripts_flat.keep_flat(site.service, step.release, record), COPY_S)


def _switch(step: steps.SwitchRelease, site: ServiceSite) -> str:
    times = site.times.before_switch(step.host, step.release)
    script = scripts_switch.switch_release(site.service, step.release, times=times)
    return _run(step, site, script, _switch_s(site.service))


def _switch_back(step: steps.SwitchBack, site: ServiceSite) -> str:
    times = site.times.after_return(step.host, step.release, step.failed)
    script = scripts_switch.switch_back(site.service, step.release, step.failed, times=times)
    return _run(step, site, script, _switch_s(site.service))


def _adopt(step: steps.AdoptService, site: ServiceSite) -> str:
    times = site.times.before_switch(step.host, step.release)
    script = scripts_adopt.adopt_service(site.service, step.release, step.flat, times=times)
    return _run(step, site, script, _switch_s(site.service))


def _release_adopted(step: steps.ReleaseAdopted, site: ServiceSite) -> str:
    script = scripts_adopt.release_adopted(site.service)
    return _run(step, site, script, _switch_s(site.service))


def _run(step: Step, site: ServiceSite, script: str, seconds: float) -> str:
    site.change(step.host, script, what=step.title, timeout=seconds)
    return ""


def _switch_s(service: Service) -> float:
    """Whatever unit runs may have systemd's own limit, 90 s, to stop."""
    return max(service.redeploy.stop_timeout, 90) + 60.0


def _wanted(site: ServiceSite) -> tuple[Code, RedeployRequest]:
    """What is shipped; only a rollback has none."""
    if site.code is None or site.request is None:
        raise StepFailed("there is no code to ship", where=site.subject)
    return site.code, site.request


def _install_dependencies(step: steps.InstallDependencies, site: ServiceSite) -> str:
    """Made once on the controller and pushed, or installed on the host from its lock file."""
    service, found = site.service, site.found[step.host]
    code, _ = _wanted(site)
    limit = service.redeploy.build_timeout
    if service.redeploy.dependencies_on == "host":
        command, files = host_command(service, code.source)
        script = scripts.install_dependencies_on_host(service, step.key, files, command, limit)
        return _shown(step, site, script, limit + MARGIN_S)
    tree = dependencies(
        service,
        code.source,
        step.key,
        site.home.path,
        runtime=found.runtime,
        architecture=found.host.architecture,
        log=site.log,
        timeout=float(limit),
    )
    made = scan(tree, ignoring=False)
    script = scripts.install_dependencies(service, step.key)
    arrived = {scripts.DEPENDENCIES_SENT: (f"{step.key}\n".encode(), 0o600)}
    chunks = release_stream(tree, made.manifest.entries, extra=arrived)
    size = stream_size(made.manifest.entries)
    site.push(step.host, script, chunks, what=step.title, size=size)
    return f"{len(made.manifest.entries)} files"


def _stage_release(step: steps.StageRelease, site: ServiceSite) -> str:
    """Ship what differs from the base; the host takes the rest from there."""
    service = site.service
    code, request = _wanted(site)
    tree = code.shipped(site.found[step.host].host.architecture)
    base = site.times.manifest(step.host, step.base) if step.base else None
    # Of a host where files were edited, nobody knows what it has served.
    wanted = site.times.of(tree.manifest, anew=step.host in request.drifted)
    site.times.note(step.host, step.release, wanted)
    found = difference(base or Manifest(()), wanted)
    record = _record(step.host, step.release, site, note=request.note)
    script = scripts_release.stage_release(
        service,
        step.release,
        step.base if base else "",
        record.dependencies,
        deleted_size=len(deleted_list(found.deleted)),
        # What writes to files of a release must not write to those of the base.
        copy=request.builds_on_host or service.user == "root",
        complete=not request.builds_on_host,
    )
    chunks = release_stream(
        tree.source,
        found.changed,
        deleted=found.deleted,
        extra=scripts_release.release_files(
            wanted, record_of(record), render_unit(service, step.release)
        ),
    )
    sent = _Counted(chunks)
    site.push(step.host, script, sent, what=step.title, size=stream_size(found.changed))
    _note_release(step.release, tree.manifest, site, request)
    return f"{len(found.changed)} changed, {len(found.deleted)} deleted, {sent.bytes} bytes sent"


class _Counted:
    """Chunks, and how many bytes they were."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.bytes += len(chunk)
            yield chunk


def _record(host: str, release: str, site: ServiceSite, *, note: str) -> ReleaseFacts:
    """What the release says of itself."""
    _, request = _wanted(site)
    flat = release == steps.FLAT
    return ReleaseFacts(
        id=release,
        source="" if flat else request.source,
        recipe="" if flat else request.recipe,
        dependencies="" if flat else request.dependencies[host],
        runtime=site.found[host].runtime,
        created_s=site.times.now,
        operation=site.stamp,
        note=note,
        port=0 if flat else site.service.port or 0,
        health="" if flat else site.service.health,
    )


def _note_release(
    release: str, manifest: Manifest, site: ServiceSite, request: RedeployRequest
) -> None:
    record_release(
        site.db,
        Release(
            service=site.service.name,
            id=release,
            source=request.source,
            note=request.note,
            files=len(manifest.entries),
            bytes=sum(entry.size for entry in manifest.entries),
            operation_id=site.stamp,
            created_at=datetime.now(UTC),
        ),
    )


def _run_hook(step: steps.RunHook, site: ServiceSite) -> str:
    """Run a script of the release on the host and show what it says."""
    wanted = site.service.redeploy
    path = wanted.pre_deploy_hook if step.moment == "before" else wanted.post_deploy_hook
    previous = site.found[step.host].current or ""
    script = scripts_switch.run_hook(site.service, step.host, step.release, previous, str(path))
    told = _shown(step, site, script, wanted.hook_timeout + MARGIN_S)
    if step.moment == "after":
        mark = scripts_switch.mark_healthy(site.service, step.release)
        site.change(step.host, mark, what="mark the release as healthy")
    return told


def _shown(step: Step, site: ServiceSite, script: str, timeout: float) -> str:
    """Run a changing script and show its output as it comes; what it said last is in its error."""
    count, last = 0, deque[str](maxlen=LAST_LINES)
    try:
        for line in site.stream(step.host, script, what=step.title, timeout=timeout):
            site.log(f"{step.host}: {redact(line)}")
            last.append(redact(line))
            count += 1
    except (CommandFailed, CommandTimeout) as error:
        said = "".join(f"\n    {line}" for line in last) or " nothing"
        raise StepFailed(
            f"{error.what}; it said:{said}", where=step.host, next_step=error.next_step
        ) from error
    return f"{count} line{'s' if count > 1 else ''} of output" if count else ""


def _await(step: steps.AwaitService, site: ServiceSite) -> str:
    """The gate; a release remembers that it has passed it."""
    directory = site.service.directory
    inside = f"{directory}/releases/{step.release}" if step.release else directory
    # A hook has the last word: were it cut off, the mark would say that nothing is left to do.
    found = site.found[step.host]
    is_new = site.request is not None and step.release == site.request.release(step.host, found)
    hook_marks = is_new and site.service.redeploy.post_deploy_hook
    return await_service(
        _as_made(site.service, found.releases.get(step.release)),
        site.pool[step.host],
        inside,
        hold=None if hook_marks else lambda script: guarded(site.guard.on(step.host), script),
        stable_s=float(site.service.redeploy.health_check_stable),
    )


def _as_made(service: Service, known: ReleaseFacts | None) -> Service:
    """The service as a release knows it: an older one may listen elsewhere, and be asked elsewhere."""
    if known is None or not known.port:
        return service
    return service.model_copy(update={"port": known.port, "health_path": known.health})


def _clear_flat(step: steps.ClearFlat, site: ServiceSite) -> str:
    script = scripts_flat.clear_flat(site.service, steps.FLAT)
    told = site.change(step.host, script, what=step.title, timeout=COPY_S)
    left = told.decode("utf-8", "replace").splitlines()
    return f"left there, as the copy does not hold it: {_named(left)}" if left else ""


def _named(told: Sequence[str]) -> str:
    """What a host has named, as far as a line of the journal goes."""
    more = ", …" if len(told) > MAX_LEFT else ""
    return f"{', '.join(one_line(name) for name in told[:MAX_LEFT])}{more}"


def _prune(step: steps.PruneReleases, site: ServiceSite) -> str:
    script = scripts.prune_releases(site.service, site.service.redeploy.keep_releases)
    told = site.change(step.host, script, what=step.title, timeout=COPY_S)
    removed = told.decode("utf-8", "replace").split()
    return f"removed {_named(removed)}" if removed else "nothing to remove"


_APPLY: dict[type[Step], Callable[[Any, ServiceSite], str]] = {
    steps.BuildHere: _build_here,
    steps.PrepareService: _prepare,
    steps.InstallDependencies: _install_dependencies,
    steps.StageRelease: _stage_release,
    steps.BuildRelease: _build_release,
    steps.KeepFlat: _keep_flat,
    steps.RunHookBefore: _run_hook,
    steps.RunHookAfter: _run_hook,
    steps.SwitchRelease: _switch,
    steps.SwitchBack: _switch_back,
    steps.AdoptService: _adopt,
    steps.ReleaseAdopted: _release_adopted,
    steps.AwaitService: _await,
    steps.ClearFlat: _clear_flat,
    steps.PruneReleases: _prune,
}
"""What each step is; almost all of them need more than the spec: the code, the times of files, what was found."""
