"""One S3 service for the whole session, and a bucket of its own for each test."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.stores.swift_service import S3Service, swift


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def s3_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    if os.geteuid() != 0:
        pytest.skip("the S3 service of these tests starts as root only")
    with swift(tmp_path_factory.mktemp("swift")) as service:
        yield service


@pytest.fixture
def bucket(s3_service: S3Service, no_proxy: None) -> str:
    name = f"b-{secrets.token_hex(6)}"
    s3_service.client().create_bucket(Bucket=name)
    return name
