"""The workers of a cluster as a run sees them: which get units, and which are left out and why."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned

CHECKED_ANEW_SECONDS = 30.0
_log = logging.getLogger("migrator")


@dataclass(slots=True)
class RegisteredWorker:
    """A worker. `is_fit` None: it is being looked at. `checked_at` by the caller's clock."""

    address: str
    name: str
    checked_at: float
    is_fit: bool | None = None


class WorkerRegistry:
    """All workers that are there now. Used by one thread."""

    def __init__(self) -> None:
        self.here: dict[str, RegisteredWorker] = {}
        self._left_out: dict[str, str] = {}

    @property
    def fit(self) -> frozenset[str]:
        """Addresses of those that get units."""
        return frozenset(place.address for place in self.here.values() if place.is_fit)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why workers were left out, of those too that are gone by now; each names its worker."""
        return tuple(f"{name}: {reason}" for name, reason in self._left_out.items())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return a warning for each worker that was left out, with the reason."""
        return tuple(
            warned(
                "worker-left-out",
                f"The worker {name} was left out. {reason}",
                "The others did its part.",
                "Fix it there, or remove the worker.",
            )
            for name, reason in self._left_out.items()
        )

    def see(self, addresses: Mapping[str, str], now: float) -> list[RegisteredWorker]:
        """Take down who is there, by address and name; answers who is to be looked at."""
        for place in [place for address, place in self.here.items() if address not in addresses]:
            del self.here[place.address]
            _log.warning("worker %s is gone", place.name)
        to_check = []
        for address, name in addresses.items():
            place = self.here.setdefault(address, RegisteredWorker(address, name, now))
            if place.checked_at == now:
                to_check.append(place)
            elif place.is_fit is False and now - place.checked_at >= CHECKED_ANEW_SECONDS:
                place.checked_at, place.is_fit = now, None
                to_check.append(place)
        return to_check

    def silent(self, heard: Mapping[str, float], seconds: float) -> list[str]:
        """Of whom nothing was heard for so long, by the scheduler's times, while others were: all silent means that they do not hang."""
        newest = max(heard.values(), default=0.0)
        return [address for address, at in heard.items() if newest - at >= seconds]

    def give_up(self, address: str, name: str, reason: str) -> None:
        """Take a worker for lost; should it come back, it is seen anew."""
        self.here.pop(address, None)
        self._leave_out(name, reason)

    def judge(self, place: RegisteredWorker, refusal: str) -> None:
        """What the look has found: nothing, or why the worker cannot do its part."""
        place.is_fit = not refusal
        if refusal:
            self._leave_out(place.name, refusal)

    def _leave_out(self, name: str, reason: str) -> None:
        if name not in self._left_out:
            _log.warning("worker %s is left out: %s", name, reason)
            self._left_out[name] = reason

    def forget_all(self) -> None:
        """The connection is lost: who is there has to be seen anew."""
        self.here.clear()


def is_loopback(host: str) -> bool:
    """Return True for a host that is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def stays_private(address: str) -> bool:
    """Whether what is said to this address cannot be read on a network: it is encrypted, or does not leave this machine."""
    if urlsplit(address).scheme in ("tls", "inproc"):
        return True
    host = urlsplit(address).hostname or ""
    return is_loopback(host) or _is_this_machine(host)


def _is_this_machine(host: str) -> bool:
    """Only an address of one's own can be bound."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except (OSError, ValueError):
        return False
    return True
