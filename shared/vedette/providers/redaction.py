"""Finds and redacts the credentials of one endpoint in all texts of its server, before a text is cut or stored.

A server may quote a key unchanged, in another case, escaped (JSON, URL, HTML, even twice), in Base64 or in hex. All
forms are found at the speed of `str.find`, because the server decides what a reply of up to 16 MB contains.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec

REDACTED = "***"
# A shorter value is not redacted: it protects nothing, and its characters occur in other texts.
MIN_SECRET_CHARACTERS = 6
_MAX_REPLACED = 64  # different escapes, each replaced in its own pass; more are decoded in one slower pass
_MIN_FRAGMENT = 4  # characters of a secret at the end of a text that was cut
# Escapes of one character: a mark that the text must contain, the pattern of the escape, and the base of its number.
_ESCAPES = (
    ("\\u", re.compile(r"(\\u(00[0-9a-fA-F]{2}))"), 16),
    ("%", re.compile(r"(%([0-7][0-9a-fA-F]))"), 16),
    ("&#", re.compile(r"(&#[xX]([0-9a-fA-F]{1,6});?)"), 16),
    ("&#", re.compile(r"(&#([0-9]{1,6});?)"), 10),
)
_ENTITIES = (("&amp;", "&"), ("&quot;", '"'), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"))
_JSON = re.compile(rb"[\[{]")


class Secrets:
    """The secrets of an endpoint, and their redaction. Without secrets, no text is changed."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(dict.fromkeys(value for value in values if len(value) >= MIN_SECRET_CHARACTERS))

    def redact(self, text: str, *, cut: bool = False) -> str:
        """Return *text* with `***` for each secret.

        *cut*: the text was cut, so the beginning of a secret at its end is redacted too.
        """
        if not self._values or not text:
            return text
        if self._quotes(text):
            text = self._pattern.sub(REDACTED, text)
        if self._quotes(plain := self._unescaped(text)):
            text = self._pattern.sub(REDACTED, plain)
        return self._without_fragment(text) if cut else text

    def clean(self, raw: bytes) -> bytes:
        """Return the bytes *raw* of a server without secrets. JSON stays valid JSON, also after `data:`."""
        if not self._values:
            return raw
        text = raw.decode("utf-8", "replace")
        if not (self._quotes(text) or self._quotes(self._unescaped(text))):
            return raw
        begin = _JSON.search(raw)
        if begin is not None:
            try:
                value = msgspec.json.decode(raw[begin.start() :])
                return raw[: begin.start()] + msgspec.json.encode(self.redacted(value))
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                pass  # not JSON, although it begins like JSON
        return self.redact(text).encode()

    def lines(self, raw: bytes) -> bytes:
        """Return *raw* without secrets. Each line is redacted separately, so *raw* must end with a whole line."""
        if not self._values:
            return raw
        return b"".join(
            line if not line.strip() else self._line(line) for line in raw.splitlines(keepends=True)
        )

    def passed(self) -> "Passed":
        """Return a redactor for the pieces of one reply."""
        return Passed(self)

    def begun_at(self, raw: bytes) -> int:
        """Return the index in *raw* at which a secret may begin that continues in the next piece.

        If no secret begins at the end of *raw*, this is the length of *raw*.
        """
        tail = raw[-self._max_form_bytes :].lower()
        for length in range(len(tail) - len(tail.rstrip(self._form_bytes)), 0, -1):
            if tail[-length:] in self._beginnings:
                return len(raw) - length
        return len(raw)

    def are_in(self, raw: bytes) -> bool:
        """Return whether *raw* contains a secret in any known form."""
        lowered = raw.lower()
        if any(form in lowered for form in self._encoded):
            return True
        if not self._encoded or not any(mark in raw for mark in self._marks):
            return False
        return self._quotes(self._unescaped(raw.decode("utf-8", "replace")))

    def _line(self, raw: bytes) -> bytes:
        """Return a line without secrets; its line end stays."""
        text = raw.rstrip(b"\r\n")
        return self.clean(text) + raw[len(text) :]

    def redacted(self, value: Any) -> Any:
        """Return a JSON value with its texts redacted. Keys of objects are not: they are field names."""
        if not self._values:
            return value
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {key: self.redacted(inner) for key, inner in value.items()}
        return [self.redacted(inner) for inner in value] if isinstance(value, list) else value

    def _quotes(self, text: str) -> bool:
        lowered = text.lower()
        return any(form in lowered for form in self._forms)

    def _unescaped(self, text: str) -> str:
        """Return *text* unescaped. Of the numbered escapes, only those of characters of secrets are decoded."""
        if "\\" in text:
            for _ in range(4):  # JSON in JSON in JSON in JSON
                text = text.replace("\\\\", "\\")
            text = text.replace("\\/", "/").replace('\\"', '"')
        if "%25" in text:
            text = text.replace("%25", "%").replace("%25", "%")
        for entity, letter in _ENTITIES if "&" in text else ():
            text = text.replace(entity, letter)
        for mark, pattern, base in _ESCAPES:
            if mark not in text:
                continue
            found = {escape: int(digits, base) for escape, digits in pattern.findall(text)}
            ours = {escape: chr(code) for escape, code in found.items() if code in self._codes}
            if len(ours) > _MAX_REPLACED:
                text = "".join(ours.get(piece, piece) for piece in _pieces(pattern, text))
                continue
            for escape, letter in ours.items():
                text = text.replace(escape, letter)
        return text

    def _without_fragment(self, text: str) -> str:
        tail = self._unescaped(text[-6 * max(map(len, self._forms)) :]).lower()
        for form in self._forms:
            for length in range(min(len(form) - 1, len(tail)), _MIN_FRAGMENT - 1, -1):
                if text[-length:].lower() == form[:length]:
                    return text[:-length] + REDACTED
                if tail.endswith(form[:length]):  # the fragment is escaped: cut back to the last separator
                    kept = max(text.rfind(stop) for stop in " \"'\n:=,")
                    return text[: kept + 1] + REDACTED
        return text

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """All forms in which a server may quote the secrets, in lower case, the longest first."""
        forms = {form.lower() for value in self._values for form in _forms(value)}
        return tuple(sorted(forms, key=lambda form: (-len(form), form)))

    @cached_property
    def _encoded(self) -> tuple[bytes, ...]:
        return tuple(form.encode("utf-8", "replace") for form in self._forms)

    @cached_property
    def _marks(self) -> tuple[bytes, ...]:
        """A text with an escaped character of a secret contains at least one of these."""
        own = (b"\\" + letter.encode() for letter in '"\\' if any(letter in value for value in self._values))
        return (b"\\u00", b"\\/", b"%", b"&", *own)

    @cached_property
    def _max_form_bytes(self) -> int:
        return max(map(len, self._encoded), default=1)

    @cached_property
    def _form_bytes(self) -> bytes:
        """All bytes that occur in the forms."""
        return bytes(set(b"".join(self._encoded)))

    @cached_property
    def _beginnings(self) -> frozenset[bytes]:
        return frozenset(form[:length] for form in self._encoded for length in range(1, len(form)))

    @cached_property
    def _codes(self) -> frozenset[int]:
        return frozenset(ord(letter) for value in self._values for letter in value + value.swapcase() + "+/=")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._forms)), re.IGNORECASE)


class Passed:
    """Redacts secrets in the pieces of one reply, also a secret that is split between pieces.

    The end of a piece is held until the next piece only if a secret may begin there. A secret that is both escaped
    and split is not found.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = b""

    def take(self, piece: bytes) -> bytes:
        """Add *piece*; return the bytes that can be passed on now, without secrets."""
        whole = self._held + piece if self._held else piece
        end = self._secrets.begun_at(whole)
        if end < len(whole):
            whole, self._held = whole[:end], whole[end:]
        else:
            self._held = b""
        return self._secrets.lines(whole) if self._secrets.are_in(whole) else whole

    def rest(self) -> bytes:
        """Return the bytes that are still held. Call it after the last piece."""
        held, self._held = self._held, b""
        return held


def _pieces(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """Yield the escapes in *text* and the texts between them, in order."""
    at = 0
    for found in pattern.finditer(text):
        yield text[at : found.start()]
        yield found[1]
        at = found.end()
    yield text[at:]


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "replace")
    yield value
    yield quote(value, safe="")
    yield raw.hex()
    # Base64 of a longer text with the secret: the characters depend on the position of the secret, modulo 3.
    for offset, skipped in ((0, 0), (1, 2), (2, 3)):
        whole = (8 * (offset + len(raw))) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(offset) + raw).decode()[skipped:whole]


def credential(header: str) -> str:
    """Return the secret in the value of a *header*: the part after `Bearer` or another scheme, else the whole value."""
    scheme, _, rest = header.partition(" ")
    return rest if rest and scheme.isalpha() else header


NO_SECRETS = Secrets()
