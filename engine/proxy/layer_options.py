"""mitmproxy's settings: fixed here, and its loggers shut."""

from __future__ import annotations

import logging
from typing import cast

from mitmproxy.options import Options
from mitmproxy.proxy import mode_specs

_LIBRARIES = ("mitmproxy", "mitmproxy_rs", "h2", "hpack", "hyperframe", "wsproto", "aioquic", "quic")


class _Options:
    """What mitmproxy's layers read of its options; nothing can change them."""

    connection_strategy = "lazy"
    http2_ping_keepalive = 0  # TCP keep-alive does it without waking Python
    body_size_limit = None
    keep_host_header = False
    normalize_outbound_headers = True
    proxy_debug = False
    rawtcp = False
    store_streamed_bodies = False
    stream_large_bodies = None
    tcp_timeout = 1800  # seconds without a byte in either direction
    validate_inbound_headers = True
    websocket = False


OPTIONS = cast(Options, _Options())
MODE = mode_specs.ProxyMode.parse("regular")


def silence() -> None:
    """The libraries' log lines quote requests (hpack's quote every header); none may reach any handler."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.disabled = True
        logger.setLevel(logging.CRITICAL + 1)
        logger.addHandler(logging.NullHandler())
