"""service-config.yml: the original's keys pass, mistakes have their place, and nothing is a traceback."""

from __future__ import annotations

from textwrap import dedent

import pytest
import yaml

from quoracy.errors import UsageError
from quoracy.services.spec import ServiceType
from quoracy.services.spec_keys import KNOWN, service_schema
from quoracy.specs.document import MAX_BYTES
from tests.specs.spec_files import GOOD, SOURCE, parsed

ORIGINAL = """\
service_name: shop
service_type: python
service_hostname: shop
app_subdomain: ''
vm_name: shop
vm_id: 120
vm_cores: 2
vm_memory: 2048
vm_disk_size: 20
vm_storage: local-lvm
vm_network_bridge: vmbr0
vm_swap: 512
vm_unprivileged: true
container_type: lxc
proxmox_node: "{{ default_node }}"
app_name: shop
app_user: appuser
app_dir: /opt/shop
app_service_name: shop
app_port: 8000
app_main_file: app.py
local_app_path: ../../services/shop
dns_server: 192.0.2.1
dns_domain: example.org
python_runtime: python3
nodejs_runtime: node
golang_runtime: go
static_runtime: nginx
database_runtime: postgresql
db_name: shop
db_user: shop
db_password: "{{ vault_db_password }}"
additional_ports: []
health_check_path: /health
container_env: {HOST: 0.0.0.0, DEBUG: false, EMPTY: ''}
container_tags: [proxmox-deploy, shop]
health_check_timeout: 45
skip_build: true
force_dependency_update: false
run_tests: false
"""
HOSTS = "hosts: [{name: shop-1, address: 192.0.2.10}]\n"


def refused(text: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        parsed(text)
    assert (raised.value.where, raised.value.exit_code) == (SOURCE, 2)
    assert raised.value.next_step
    return raised.value


def test_a_good_one() -> None:
    service = parsed(GOOD).service
    assert parsed(GOOD).warnings == ()
    assert (service.name, service.type, service.port) == ("shop", ServiceType.NODEJS, 3000)
    assert (service.directory, service.unit, service.socket) == ("/opt/shop", "shop.service", None)
    assert (service.health, service.subject) == ("/health", "service:shop")
    assert [host.name for host in service.hosts] == ["shop-1", "shop-2"]
    assert service.redeploy.shared == ("uploads", "data/app.db")
    assert service.carries_code


def test_the_originals_keys_are_taken_without_a_word() -> None:
    told = parsed(ORIGINAL + HOSTS)
    assert told.warnings == ()
    service = told.service
    assert (service.port, service.main_file, service.user) == (8000, "app.py", "appuser")
    assert service.environment == {"HOST": "0.0.0.0", "DEBUG": False, "EMPTY": ""}
    assert service.redeploy.health_check_timeout == 45
    assert service.redeploy.skip_build is True


def test_redeploy_wins_over_the_flat_keys() -> None:
    flat = "health_check_timeout: 45\nskip_build: true\n"
    told = parsed(f"{ORIGINAL}{HOSTS}redeploy: {{health_check_timeout: 5, skip_build:}}\n")
    assert (told.service.redeploy.health_check_timeout, told.service.redeploy.skip_build) == (
        5,
        True,
    )
    assert flat in ORIGINAL
    wrong = refused(f"{ORIGINAL.replace('timeout: 45', 'timeout: soon')}{HOSTS}")
    assert "line 37, column 1: health_check_timeout: must be a whole number" in wrong.what


def test_keys_without_a_value_are_as_good_as_absent() -> None:
    empty = "app_user:\ncontainer_env:\nredeploy:\nssh:\nhealth_check_path:\napp_dir:\n"
    told = parsed(f"service_type: static\napp_port: 80\n{empty}{HOSTS}")
    assert told.warnings == ()
    assert (told.service.user, told.service.health) == ("appuser", "/")
    assert told.service.unit == "nginx.service"


def test_the_directory_names_a_service_that_the_file_does_not() -> None:
    text = GOOD.replace("service_name: shop\n", "")
    assert parsed(text).service == parsed(GOOD).service
    assert parsed(text, "/x/deployments/other/service-config.yml").service.name == "other"


def test_another_name_than_the_directorys_is_told_and_stays_in_use_on_the_hosts() -> None:
    source = "deployments/store/service-config.yml"
    told = parsed(GOOD, source)
    assert len(told.warnings) == 1
    assert f"{source}: line 1, column 1: service_name: is shop" in told.warnings[0]
    service = told.service
    assert (service.name, service.directory, service.unit) == ("store", "/opt/shop", "shop.service")
    assert service.subject == "service:store"


@pytest.mark.parametrize("kind", ["database", "tor-proxy"])
def test_of_infrastructure_only_the_type_matters(kind: str) -> None:
    told = parsed(f"service_type: {kind}\napp_port: many\nredeploy: 7\nhosts: {{}}\nsomething: 1\n")
    assert (told.service.type.value, told.service.name, told.warnings) == (kind, "shop", ())
    assert not told.service.carries_code
    assert told.service.hosts == ()


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("vm_coers: 2\n", "line 11, column 1: vm_coers: there is no such key; did you mean vm_co"),
        ("7: x\n", "line 11, column 1: 7: there is no such key"),
        ('"a\\nb\\e": 1\n', "line 11, column 1: a?b?: there is no such key"),
        ("keep_releases: 3\n", "keep_releases: there is no such key; did you mean redeploy.keep_"),
        ("  batchs: 2\n", "line 11, column 3: redeploy.batchs: there is no such key; did you mean"),
        ("  app_port: 2\n", "redeploy.app_port: there is no such key; did you mean app_port at to"),
        ("  4: 2\n", "line 11, column 3: redeploy.4: there is no such key"),
    ],
)
def test_a_key_that_nobody_knows_is_told_and_not_fatal(added: str, said: str) -> None:
    told = parsed(GOOD + added)
    assert told.service == parsed(GOOD).service
    assert len(told.warnings) == 1
    assert f"{SOURCE}: " in told.warnings[0]
    assert said in told.warnings[0]


def test_a_thousand_keys_that_nobody_knows_are_told_in_brief() -> None:
    warnings = parsed(GOOD + "".join(f"key{n}: 1\n" for n in range(1000))).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "and 980 more"


REPLACED = [
    ("service_type: nodejs", "service_type: pyhton", "line 2, column 1: service_type: Input shoul"),
    ("service_type: nodejs\n", "", "service_type: this key is required"),
    ("service_name: shop", "service_name: a/b", "service_name: must be letters, digits, '-'"),
    ("service_name: shop", "service_name: 7", "service_name: must be a text: put it in quotes"),
    ("app_port: 3000\n", "", "app_port: this key is required"),
    ("app_port: 3000", "app_port: 0", "line 3, column 1: app_port: Input should be greater"),
    ("app_port: 3000", "app_port: 65536", "app_port: Input should be less"),
    ("app_port: 3000", 'app_port: "3000"', "app_port: must be a whole number without quotes"),
    ("app_port: 3000", 'app_port: "{{ port }}"', "app_port: holds a template ({{ … }}), which"),
    ("production", '"{{ mode }}"', "line 4, column 17: container_env.NODE_ENV: holds a template"),
    ("production", "1.5", "container_env.NODE_ENV: must be a text, a whole number, true or fals"),
    ("production", "[a]", "container_env.NODE_ENV: must be a text, a whole number"),
    ("production", '"a\\nb"', "container_env.NODE_ENV: holds characters that cannot be printed"),
    ("production", "x" * 10_001, "container_env.NODE_ENV: must have at most 10000 characters"),
    ("production", str(2**63), "container_env.NODE_ENV: is too large a number"),
    ("NODE_ENV", '"A B"', "line 4, column 17: container_env.A B: must be the name of a variable"),
    ("NODE_ENV", "RELEASE", "container_env.RELEASE: Quoracy sets it"),
    ("PORT: 3000", "PORT: 3001", "container_env.PORT: must be app_port (3000), or be left out"),
    ("shop-2,", "shop-1,", "line 7, column 6: hosts.1.name: the host shop-1 is named twice"),
    ("shop-2.example.org", "192.0.2.10", "hosts.1.address: the address 192.0.2.10 is given tw"),
    ("shop-2.example.org", "300.1.1.1", "hosts.1.address: is neither an IP address nor a DNS"),
    ("{user: admin}", "{usr: admin}", "line 7, column 55: hosts.1.ssh.usr: there is no such key"),
    ("{user: admin}", "{key_file: id}", "hosts.1.ssh.key_file: must be an absolute path"),
    ("{user: admin}", "{user: 'a;b'}", "hosts.1.ssh.user: must be a login"),
    ("keep_releases: 3", "keep_releases: 1", "line 9, column 3: redeploy.keep_releases: Input"),
    ("keep_releases: 3", "build: 'a \"b'", "redeploy.build: cannot be split into words"),
    ("keep_releases: 3", "post_deploy_hook: ../x", "redeploy.post_deploy_hook: must be a path in"),
    ("keep_releases: 3", "public: /srv", "redeploy.public: must be a path inside the service"),
    ("keep_releases: 3", "health_check_timeout: 601", "redeploy.health_check_timeout: Input shou"),
    ("keep_releases: 3", "activation: sockets", "redeploy.activation: Input should be 'restart'"),
    ("[uploads, data/app.db]", "[a, a/./b]", "redeploy.shared.1: a/b is named twice, or lies in"),
    ("[uploads, data/app.db]", "[.venv/x]", "redeploy.shared.0: .venv/x is made for each rel"),
    ("[uploads, data/app.db]", "['.quoracy/x']", "redeploy.shared.0: must be a path inside"),
    ("[uploads, data/app.db]", "uploads", "redeploy.shared: must be a list, each item with"),
]


@pytest.mark.parametrize(("old", "new", "said"), REPLACED, ids=[new[:40] for _, new, _ in REPLACED])
def test_a_wrong_value_is_named_with_its_place(old: str, new: str, said: str) -> None:
    assert old in GOOD
    what = refused(GOOD.replace(old, new)).what
    assert said in what
    assert "line " in what
    assert len(what.splitlines()) == 2


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("app_dir: /etc\n", "line 11, column 1: app_dir: must be an absolute path at least two"),
        ("app_dir: /opt/{{ x }}\n", "app_dir: holds a template"),
        ("app_user: Ada\n", "app_user: must be a login"),
        ("app_service_name: a@b\n", "app_service_name: must be letters"),
        ('local_app_path: "a\\0b"\n', "local_app_path: holds characters that cannot be printed"),
        ("health_check_path: health\n", "health_check_path: must be a path that begins with '/'"),
        ("container_type: lxc\ncontainer_type: lxc\n", "container_type is given twice"),
        ("ssh: [a]\n", "line 11, column 1: ssh: must be a mapping"),
        ("nodejs_runtime: deno\n", "nodejs_runtime: Input should be 'node' or 'bun'"),
        ("app_port2: &a 1\n", "line 11, column 12: anchors and aliases are not allowed"),
        ("db_password: {{ x }}\n", "this is not YAML: line 11, column 15"),
        ("db_password: !vault x\n", "line 11, column 14: tags are not allowed"),
    ],
)
def test_a_mistake_in_a_further_line(added: str, said: str) -> None:
    assert said in refused(GOOD + added).what


def test_nginx_holds_the_port_of_static_services() -> None:
    text = f"service_type: static\napp_port: 80\n{HOSTS}redeploy: {{activation: socket}}\n"
    assert "line 4, column 12: redeploy.activation: nginx holds" in refused(text).what
    python = parsed(text.replace("static", "python")).service
    assert (python.socket, python.unit) == ("shop.socket", "shop.service")


@pytest.mark.parametrize("hosts", ["", "hosts:\n", "hosts: []\n"])
def test_a_service_without_hosts_is_shown_how_to_name_them(hosts: str) -> None:
    error = refused(f"service_type: golang\napp_port: 80\n{hosts}")
    assert "it has no `hosts`" in error.what
    example = dedent(error.what.partition("for example:\n")[2])
    assert parsed(f"service_type: golang\napp_port: 80\n{example}").service.hosts[0].name == "web-1"


def test_two_ports_of_one_address_are_two_hosts() -> None:
    hosts = "".join(
        f"  - {{name: h-{port}, address: 192.0.2.1, ssh: {{port: {port}}}}}\n"
        for port in (2201, 2202)
    )
    text = f"service_type: golang\napp_port: 80\nhosts:\n{hosts}"
    assert len(parsed(text).service.hosts) == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nothing\n", "---\n", "[]\n", "text\n", "7\n", "a: [\n", "\ta: b\n", "a: \x07\n"),
        *("a: 1\n---\nb: 2\n", "? [a]\n: b\n", "? {a: b}\n: c\n", "[" * 20_000, "a: 2026-99-99\n"),
        *("x: " + "9" * 5000 + "\n", 'x: "\\ud800"\n', "<<: {service_type: nodejs}\n", "{}\n"),
        *(
            "service_type: [database]\n",
            "service_type: {}\n",
            "service_type:\n",
            "service_type: 1\n",
        ),
        GOOD + "x: " + "x" * MAX_BYTES,
        "# x\n" * 2_500_000,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_no_service_at_all(text: str) -> None:
    assert refused(text).what


def test_the_schema_knows_every_key_that_is_taken() -> None:
    schema = service_schema()
    assert set(schema["properties"]) == set(KNOWN)
    assert schema["required"] == ["service_type"]
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["title"] == "service-config.yml"
    assert schema["additionalProperties"] is False
    assert set(yaml.safe_load(ORIGINAL)) <= set(schema["properties"])
