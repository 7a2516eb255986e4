from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from quoracy.errors import CommandFailed
from quoracy.redact import MASK, mask_secrets, redact, remembering
from quoracy.secrets import resolve

FORMATS = [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]


def pem(form: serialization.PrivateFormat) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def openssh_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


@pytest.mark.parametrize("key", [*map(pem, FORMATS), openssh_key()])
def test_private_keys_are_masked_whole_cut_off_and_as_a_representation(key: str) -> None:
    assert redact(f"before {key.strip()} after") == f"before {MASK} after"
    assert redact(f"before {key[: len(key) // 2]}") == f"before {MASK}"
    assert redact(f"before {key!r} after").startswith(f"before '{MASK}")
    assert key.splitlines()[1] not in redact(repr(key))


@pytest.mark.parametrize("key", [*map(pem, FORMATS), openssh_key()])
@pytest.mark.parametrize("form", [str, repr], ids=["text", "representation"])
def test_the_end_of_a_key_is_masked_when_its_beginning_was_cut_off(
    key: str, form: Callable[[str], str]
) -> None:
    shown = form(key.strip())
    for start in range(40, shown.index("-----END"), 7):
        told = redact(f"the last lines: {shown[start:]} after")
        assert told.endswith((f"{MASK} after", f"{MASK}' after"))
        body = shown[start:].partition("-----END")[0]
        assert all(line not in told for line in body.split() if len(line) >= 16)


def test_words_before_the_end_of_a_key_stay() -> None:
    end = "-----END PRIVATE KEY-----"
    assert redact(f"it says {end} and more") == f"it {MASK} and more"
    assert redact("A" * 100_000 + " nothing here") == "A" * 100_000 + " nothing here"


def test_two_keys_do_not_swallow_what_is_between_them() -> None:
    one, two = pem(FORMATS[0]), pem(FORMATS[1])
    assert redact(f"{one}between\n{two}") == f"{MASK}\nbetween\n{MASK}\n"


def test_certificates_and_public_keys_stay() -> None:
    text = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    assert redact(text) == text


def test_resolved_secrets_are_masked_from_then_on() -> None:
    resolve = remembering({"a": "correct-horse", "b": "untold-horse-of-this-test"}.__getitem__)
    assert redact("untold-horse-of-this-test") == "untold-horse-of-this-test"
    assert resolve("a") == "correct-horse"
    assert resolve("b") == "untold-horse-of-this-test"
    assert redact("key=untold-horse-of-this-test, correct-horse.") == f"key={MASK}, {MASK}."


def test_what_a_reference_stood_for_is_masked_wherever_it_was_resolved(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a-secret-in-a-file\n")
    file.chmod(0o600)
    assert resolve(f"file:{file}") == "a-secret-in-a-file"
    assert redact("with a-secret-in-a-file inside") == f"with {MASK} inside"


def test_a_short_secret_does_not_spoil_every_line() -> None:
    assert remembering(lambda _: "etcd")("x") == "etcd"
    assert redact("etcd 3.5.16") == "etcd 3.5.16"


class Kept(logging.Handler):
    """Keeps what would have been written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def test_messages_arguments_and_tracebacks_of_child_loggers_are_masked() -> None:
    logger, kept, key = logging.getLogger("quoracy-test-redact"), Kept(), pem(FORMATS[0])
    logger.propagate = False
    logger.addHandler(kept)
    mask_secrets(logger.name)
    mask_secrets(logger.name)
    child = logger.getChild("flow")
    child.error("got %s and %d", key, 3)
    try:
        raise RuntimeError(key)
    except RuntimeError:
        child.exception("it failed")
    assert len(kept.filters) == 1
    assert kept.lines[0] == f"got {MASK}\n and 3"
    assert "it failed\nTraceback" in kept.lines[1]
    assert f"RuntimeError: {MASK}" in kept.lines[1]
    assert key.splitlines()[1] not in "".join(kept.lines)


def test_half_a_key_that_a_host_says_is_masked_before_the_message_is_put_together() -> None:
    line = "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYeBDtMyYPjqV3S1k8wzJoAoGCCqGSM49"
    said = f"{line}\nAwEHoUQDQgAE\n-----END EC PRIVATE KEY-----\nfailed\n"

    error = CommandFailed("start etcd", where="h1", exit_code_remote=1, stderr=said)

    assert str(error) == f"h1: start etcd failed with exit code 1: {MASK}\nfailed"


HALVES = {
    "the beginning is missing": ("{}\n", "-----END RSA PRIVATE KEY-----"),
    "as a representation": ("{}\\n", "-----END RSA PRIVATE KEY-----"),
    "the end is missing": ("-----BEGIN RSA PRIVATE KEY-----\n{}\n", ""),
    "only ends": ("-----END RSA PRIVATE KEY-----\n{}\n", ""),
    "a mark that is none": ("{}\n", "x PRIVATE KEY-----"),
    "one line": ("{}", "\n-----END RSA PRIVATE KEY-----"),
}


@pytest.mark.parametrize(("line", "end"), HALVES.values(), ids=HALVES)
def test_the_work_grows_with_the_text_and_not_with_its_square(line: str, end: str) -> None:
    """A host may show half a key of any length: sixteen times as much was 256 times the work, or hours."""

    def work(lines: int) -> float:
        text = line.format("M" * 64) * lines + end
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    small, large = (min(work(lines) for _ in range(3)) for lines in (2_000, 32_000))
    assert large < 64 * max(small, 1e-4)


def test_the_line_before_the_end_may_have_any_length() -> None:
    assert redact(f"it {'M' * 500}\n-----END PRIVATE KEY-----") == f"it {MASK}"
