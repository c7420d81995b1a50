"""URLs in settings: split, or told to be none."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError


def split_url(url: str) -> SplitResult:
    """The parts of a URL. Raises `ValidationError` when its host or port cannot be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValidationError("Not a URL: its host or port cannot be read.") from error
    return parts


def shown_url(url: str) -> str:
    """The URL without its password and its parameters, which may hold one."""
    parts = split_url(url)
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_https(url: str, why: str) -> None:
    """Raises `ValidationError` for a URL that is neither https nor of this machine."""
    parts = split_url(url)
    if not parts.hostname or parts.scheme not in ("https", "http"):
        raise ValidationError("Not https://….")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise ValidationError("Not a name that a host can have.") from error
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValidationError(f"https is needed: {why}")


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine, by its spelling alone."""
    try:
        return host is not None and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
