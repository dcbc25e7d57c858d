"""What a run may ask of each runtime, known before any is opened."""

from __future__ import annotations

import msgspec


class Abilities(msgspec.Struct, frozen=True):
    """images: it runs images, and can leave a container of one behind; otherwise programs of this machine, or
    of a directory tree. open_network: there can be a way out beside the proxy. gvisor: it can use gVisor.
    """

    images: bool = True
    open_network: bool = True
    gvisor: bool = True


ABILITIES = {"docker": Abilities(), "bubblewrap": Abilities(images=False, open_network=False, gvisor=False)}
