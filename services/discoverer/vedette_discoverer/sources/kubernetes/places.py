"""URLs of an object: inside its own namespace, or allowed by the operator. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from vedette.providers import addresses
from vedette_discoverer.sources.view import Unfit


def service_host(name: str, namespace: str, domain: str) -> str:
    """Return the DNS name of a Service. If *domain* is empty, resolvers add the domain of the cluster."""
    return f"{name}.{namespace}.svc" + (f".{domain}" if domain else "")


def url_at(scheme: str, host: str, port: int | None, path: str = "") -> str:
    """Return the URL of a server, without the default port of its scheme."""
    bracketed = f"[{host}]" if ":" in host else host
    usual = port is None or port == {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{bracketed}{'' if usual else f':{port}'}{path.rstrip('/')}"


def is_in(host: str, namespace: str) -> bool:
    """Return whether *host* is the name in DNS of a Service, or of a pod behind one, of *namespace*."""
    before, svc, after = f"{host.lower()}.".partition(".svc.")
    return (
        bool(svc) and before.split(".")[-1] == namespace and before.count(".") in (1, 2) and _is_domain(after)
    )


def _is_domain(text: str) -> bool:
    return all(
        part.isascii() and part.replace("-", "").isalnum() for part in text.rstrip(".").split(".") if part
    )


def allowed(url: str, namespace: str, hosts: Sequence[str]) -> str:
    """Return *url* if an object of *namespace* may have it, else raise Unfit. *hosts*: patterns of allowed hosts."""
    if problem := addresses.wrong_with(url):
        raise Unfit(f"its URL {problem}")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        raise Unfit(f"its URL {url!r} is not an http or https URL")
    if is_in(host, namespace) or any(fnmatchcase(host, pattern.lower()) for pattern in hosts):
        return url
    raise Unfit(
        f"leads to {host}, outside its namespace; an operator can allow that by hosts under [discovery.kubernetes]"
    )
