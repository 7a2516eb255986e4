"""What counts as how a release is made."""

from __future__ import annotations

from quoracy.services.site import recipe_of
from tests.code_services import service


def test_install_scripts_make_another_release_of_a_build_and_of_nothing_else() -> None:
    without, allowed = service("nodejs"), service("nodejs", install_scripts=True)
    assert recipe_of(without, "built") != recipe_of(allowed, "built")
    assert recipe_of(without, "built on the host") == recipe_of(allowed, "built on the host")
