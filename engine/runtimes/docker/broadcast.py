"""What a container sends to everybody on its bridge, kept from a host that has no address there.

A packet for 255.255.255.255 or 224.0.0.1 needs no address at its end: the kernel gives it to every service
that listens on all of them. It is dropped where senders are looked back for (rp_filter, ip-sysctl.rst), since
nothing leads back to a bridge without an address; most systems do that, and some do not.
"""

from __future__ import annotations

from pathlib import Path

_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_STRICT = "1"

REMARK = (
    "this machine's services can hear what this run broadcasts;"
    " to end that: sudo sysctl -w net.ipv4.conf.all.rp_filter=2 (and in /etc/sysctl.d)"
)


def deafen(bridge: str, settings: Path = _SETTINGS) -> str:
    """Have this machine drop broadcasts from an interface without an address, as far as this process may.

    Returns a remark for the person where it hears them still, else "".
    """
    try:
        # An engine that makes the bridge with its first container gives it the default.
        own = next(each for each in (settings / bridge, settings / "default") if each.is_dir())
        if any((place / "rp_filter").read_text().strip() != "0" for place in (settings / "all", own)):
            return ""
        if own.name == "default":
            return REMARK
        (own / "rp_filter").write_text(_STRICT)
    except (OSError, StopIteration):
        return REMARK
    return ""
