"""The search itself: it finds what is deliberately written somewhere, in every form."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.audit.secret_search import ProcessLists, Search, forms

SECRET = "wJalrX/UtnFEMI+K7MDENG=bPxRfi\\CYEXAMPLE"
Form = Callable[[bytes], bytes]


def keys(curve: ec.EllipticCurvePrivateKey | None = None) -> dict[str, bytes]:
    plain, edwards = s.NoEncryption(), ed25519.Ed25519PrivateKey.generate()
    curve = curve or ec.generate_private_key(ec.SECP256R1())
    return {
        "PKCS8": curve.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, plain),
        "SEC1": curve.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, plain),
        "OpenSSH": edwards.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, plain),
        "OpenSSH EC": curve.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, plain),
    }


FORMS: dict[str, Form] = {
    "plain": lambda text: text,
    "in a URL": lambda text: quote(text, safe="").encode(),
    "as JSON": lambda text: json.dumps(text.decode()).encode(),
    "representation": lambda text: repr(text.decode()).encode(),
    "base64": base64.b64encode,
    "base64, one further": lambda text: base64.b64encode(b"x" + text + b"y"),
    "base64, two further": lambda text: base64.b64encode(b"xx" + text + b"yy"),
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 in a URL": lambda text: quote(base64.b64encode(text), safe="").encode(),
    "hexadecimal": lambda text: text.hex().encode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("part", [slice(None), slice(0, 25), slice(12, None)])
def test_a_text_is_found_whole_and_half_in_each_form(form: Form, part: slice) -> None:
    search = Search()
    search.add("it", SECRET)
    assert search.found_in(b"before " + form(SECRET.encode()[part]) + b" after") == {"it"}
    assert search.found_in(form(b"before and after, and nothing between them")) == set()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kind", ["PKCS8", "SEC1", "OpenSSH", "OpenSSH EC"])
def test_a_key_is_found_by_any_line_of_its_secret_part(form: Form, kind: str) -> None:
    pem, search = keys()[kind], Search()
    search.add_key("it", pem)
    assert search.found_in(form(pem)) == {"it"}
    # OpenSSH writes the secret part at the end, the others at the beginning.
    half = slice(len(pem) // 2, None) if "OpenSSH" in kind else slice(0, len(pem) * 2 // 3)
    assert search.found_in(form(pem[half])) == {"it"}
    assert search.found_in(form(keys()[kind])) == set()


@pytest.mark.parametrize("kind", ["PKCS8", "SEC1", "OpenSSH EC"])
def test_a_key_whose_number_begins_with_zeros_is_found(kind: str) -> None:
    pem = keys(ec.derive_private_key(secrets.randbits(239) | 1 << 238, ec.SECP256R1()))[kind]
    search = Search()
    search.add_key("it", pem)
    assert search.found_in(pem) == {"it"}
    assert search.found_in(keys()[kind]) == set()


def test_the_public_half_of_a_key_is_no_secret() -> None:
    pem, search = keys()["PKCS8"], Search()
    search.add_key("it", pem)
    public = s.load_pem_private_key(pem, None).public_key()
    shown = public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    assert search.found_in(shown) == set()


def test_no_form_is_short_enough_to_be_met_by_chance() -> None:
    assert min(map(len, forms(SECRET.encode()))) >= 8


def test_files_are_found_by_content_name_and_mode(tmp_path: Path) -> None:
    search, secret = Search(), secrets.token_hex(20)
    search.add("it", secret)
    inside = tmp_path / "a" / "content"
    inside.parent.mkdir()
    inside.write_text(f"x{secret}")
    inside.chmod(0o600)
    (tmp_path / f"name-{secret}").touch(mode=0o644)
    (tmp_path / "link").symlink_to(inside)
    os.mkfifo(tmp_path / "fifo")
    found = search.in_tree(tmp_path)
    assert {Path(path).name[:4] for path in found} == {"cont", "name"}
    assert len(search.in_tree(tmp_path, allowed=[inside])) == 1
    assert len(search.in_tree(tmp_path, readable=lambda mode: bool(mode & 0o077))) == 1
    assert search.in_tree(tmp_path, since=inside.stat().st_ctime + 3600) == {}


def test_values_of_a_database_are_found_wherever_its_pages_break(tmp_path: Path) -> None:
    search, file = Search(), tmp_path / "some.db"
    search.add("it", SECRET)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute('CREATE TABLE "order" (id INTEGER, text TEXT)')
    connection.execute("INSERT INTO \"order\" VALUES (1, NULL), (2, 'nothing')")
    connection.commit()
    assert search.in_sqlite(file) == set()
    for at in range(4000, 4200, 5):
        connection.execute('DELETE FROM "order"')
        connection.execute('INSERT INTO "order" VALUES (3, ?)', ("x" * at + SECRET,))
        connection.commit()
        assert search.in_sqlite(file) == {"it"}
    connection.close()


def test_what_was_deleted_from_a_database_is_found_in_its_file(tmp_path: Path) -> None:
    search, file = Search(), tmp_path / "some.db"
    search.add("it", SECRET)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("CREATE TABLE one (text TEXT)")
    connection.execute("INSERT INTO one VALUES (?)", (SECRET,))
    connection.commit()
    connection.execute("DELETE FROM one")
    connection.commit()
    connection.close()
    assert search.in_sqlite(file) == {"it"}


def test_command_lines_are_seen() -> None:
    search, secret = Search(), secrets.token_hex(20)
    search.add("it", secret)
    with ProcessLists() as lists:
        for _ in range(3):
            subprocess.run(
                (sys.executable, "-c", "import time; time.sleep(.2)", secret), check=True
            )
    assert search.in_many(lists.seen) == {"it"}
