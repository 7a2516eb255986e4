from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from quoracy.errors import QuoracyError, UsageError
from quoracy.home import Home
from quoracy.prefect.submit import Ended, _ended, run_here, submit, use_server
from tests.controller import home_in, port_nobody_listens_on, record, spec_text
from tests.prefect_harness import ask


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with port_nobody_listens_on() as port:
        record(home, spec_text(tmp_path, port))
        yield home


def test_no_server_is_a_usage_error(home: Home) -> None:
    with pytest.raises(UsageError) as caught:
        use_server(home)
    assert "quoracy up" in caught.value.next_step


def test_a_flow_that_is_not_in_this_environment(home: Home) -> None:
    with pytest.raises(
        UsageError, match="the flow etcd-dance is not in this environment"
    ) as caught:
        run_here("etcd-dance", {"cluster": "demo"})
    assert "--submit" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [("Refused", 3), ("LeaseHeld", 3), ("Crashed", 1), ("annotations", 1), ("__name__", 1)],
)
def test_a_state_that_is_named_after_no_error_of_ours_is_a_failure(
    name: str, exit_code: int
) -> None:
    from prefect.states import Failed

    assert _ended(Failed(name=name), "id").exit_code == exit_code


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("cluster", "state", "exit_code"), [("demo", "Refused", 3), ("nope", "UsageError", 2)]
)
def test_a_run_here_ends_with_the_exit_code_of_its_error(
    home: Home, cluster: str, state: str, exit_code: int
) -> None:
    from prefect.client.orchestration import get_client

    ended = run_here("etcd-deploy", {"cluster": cluster})
    assert (ended.state, ended.exit_code) == (state, exit_code)
    assert ended.message
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(ended.flow_run_id))
    assert [tag.partition(":")[0] for tag in sorted(run.tags)] == ["cluster", "quoracy"]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_deployment_that_the_server_does_not_know(home: Home) -> None:
    with pytest.raises(UsageError, match="knows no deployment etcd-dance/etcd-dance"):
        submit(home, "etcd-dance", {"cluster": "demo"})


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("start", [submit, lambda _, *run: run_here(*run)], ids=["submit", "here"])
def test_a_server_that_has_gone_away_is_an_error_in_words(
    home: Home, start: Callable[..., Ended]
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with port_nobody_listens_on() as port:
        url = f"http://127.0.0.1:{port}"
        with (
            temporary_settings({PREFECT_API_URL: f"{url}/api"}),
            pytest.raises(QuoracyError, match=f"the Prefect server at {url} went away") as caught,
        ):
            start(home, "etcd-deploy", {"cluster": "demo"})
    assert "`quoracy history demo`" in caught.value.next_step
    assert caught.value.exit_code == 1


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_who_stops_waiting_is_told_that_the_run_goes_on_and_where(home: Home) -> None:
    from prefect.client.orchestration import get_client

    from flows.etcd_deploy import etcd_deploy

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(etcd_deploy)
        deployment = client.create_deployment(flow_id, "etcd-deploy")
    wanted = {"deployment_id": {"any_": [str(deployment)]}}
    runs: list[str] = []

    def press_ctrl_c() -> None:
        while not runs:
            time.sleep(0.1)
            runs.extend(run["id"] for run in ask("/flow_runs/filter", flow_runs=wanted))
        time.sleep(1)  # so that the other thread has heard of the run as well
        _thread.interrupt_main()

    presser = threading.Thread(target=press_ctrl_c)
    # A shell lets its background jobs ignore it, and Python keeps that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    presser.start()
    try:
        with pytest.raises(QuoracyError, match="the run goes on in the runner") as caught:
            submit(home, "etcd-deploy", {"cluster": "demo"})
    finally:
        presser.join()
        signal.signal(signal.SIGINT, before)
        with get_client(sync_client=True) as client:
            client.delete_deployment(deployment)
    assert f"/runs/flow-run/{runs[0]}, or `quoracy history demo`" in caught.value.next_step
