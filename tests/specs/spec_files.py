"""A good service-config.yml, and how the tests read one."""

from __future__ import annotations

from quoracy.services.spec_parse import ParsedService, parse_service

SOURCE = "deployments/shop/service-config.yml"
GOOD = """\
service_name: shop
service_type: nodejs
app_port: 3000
container_env: {NODE_ENV: production, PORT: 3000}
hosts:
  - {name: shop-1, address: 192.0.2.10}
  - {name: shop-2, address: shop-2.example.org, ssh: {user: admin}}
redeploy:
  keep_releases: 3
  shared: [uploads, data/app.db]
"""


def parsed(text: str, source: str = SOURCE) -> ParsedService:
    """What a text says."""
    return parse_service(text, source=source, home="/home/ada")
