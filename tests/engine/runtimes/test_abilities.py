from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.runtimes.abilities import ABILITIES, refuse_docker


@pytest.mark.parametrize("wish", ["docker:host", "docker:dind", "privileged"])
@pytest.mark.parametrize("runtime", ABILITIES)
def test_a_docker_engine_is_dockers_alone(runtime, wish) -> None:
    if runtime == "docker":
        refuse_docker(runtime, wish)
    else:
        with pytest.raises(UsageError, match=f"{wish} cannot be had with the runtime '{runtime}'") as caught:
            refuse_docker(runtime, wish)
        assert "runtime 'docker'" in caught.value.remedy
    refuse_docker(runtime, "node@20")
