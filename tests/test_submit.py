from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from controller import home_in, port_nobody_listens_on, record, spec_text

from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.submit import run_here, submit, use_server


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
        run = client.read_flow_run(ended.flow_run_id)
    assert [tag.partition(":")[0] for tag in sorted(run.tags)] == ["by", "cluster"]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_deployment_that_the_server_does_not_know(home: Home) -> None:
    with pytest.raises(UsageError, match="knows no deployment etcd-dance/etcd-dance"):
        submit(home, "etcd-dance", {"cluster": "demo"})
