"""Keep secrets out of what is shown and kept: private keys, and every secret that was resolved here.

The last line of defence: no code writes a secret on purpose, but a remote script's output, a
library's message or a traceback may carry one. Prefect masks nothing by itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

MASK = "********"
# Shorter ones occur in ordinary text; masking them would spoil every line and protect nothing.
SHORTEST = 6
# Until the end of the text when the key was cut off; `\n` may be written as two characters.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", re.DOTALL
)
_END_MARK = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")
# What stands before it, read backwards: the last lines of a log may begin in the middle of a key, whose lines
# are long but for the last. Nothing is given back once it was taken (`++`): so it takes no more than one way.
_LINE, _BREAK = r"(?:(?![nr]\\)[A-Za-z0-9+/=])", r"(?:\s|[nr]\\)"
_BEFORE_END = re.compile(rf"{_BREAK}*+{_LINE}*+(?:{_BREAK}++{_LINE}{{16,}}+)*+")
_resolved: set[str] = set()


def redact(text: str) -> str:
    """The text with all secrets that are known replaced by asterisks."""
    masked = _PRIVATE_KEY.sub(MASK, text)
    if "PRIVATE KEY-----" in masked:
        masked = _without_ends(masked)
    # A secret may be part of a longer one: the longest first.
    for secret in sorted(_resolved, key=len, reverse=True):
        masked = masked.replace(secret, MASK)
    return masked


def _without_ends(text: str) -> str:
    """The text without what is left of keys whose beginning was cut off; each character is looked at once."""
    parts, done = [], 0
    for end in _END_MARK.finditer(text):
        before = _BEFORE_END.match(text[done : end.start()][::-1])
        length = before.end() if before else 0
        parts += [text[done : end.start() - length], MASK]
        done = end.end()
    return "".join((*parts, text[done:]))


def remember(secret: str) -> None:
    """Mask a text in this process from now on, unless it is too short to be told from other text."""
    if len(secret) >= SHORTEST:
        _resolved.add(secret)


def remembering(resolver: Callable[[str], str]) -> Callable[[str], str]:
    """The resolver, whose secrets are masked in this process from then on."""

    def resolve(name: str) -> str:
        secret = resolver(name)
        remember(secret)
        return secret

    return resolve


class SecretFilter(logging.Filter):
    """Masks secrets in messages and tracebacks; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record's texts in place."""
        try:
            record.msg, record.args = redact(record.getMessage()), None
        except (TypeError, ValueError):
            return True  # the message does not fit its arguments; the handler reports it
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def mask_secrets(*loggers: str) -> None:
    """Put the filter on the handlers of the loggers; may be called any number of times.

    Handlers, not loggers: a logger's filter does not see what its children log.
    """
    for name in loggers:
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(known, SecretFilter) for known in handler.filters):
                handler.addFilter(SecretFilter())
