"""What a plan needs of this machine at the moment it is run, beyond what planning it needs."""

from __future__ import annotations

import os

from lmms.config.plan import RunPlan
from lmms.errors import ConfigError

_API = "openai"
"""The back end that sends a key."""


def check_ready(plan: RunPlan) -> None:
    """Makes sure that the key of an API is there before anything is started.

    Args:
        plan: What is to run. Its `env.variables` are in the process environment already.

    Raises:
        ConfigError: The variable that `model.api_key_env` names is not set or empty.
    """
    model = plan.config.model
    if model.backend != _API or model.api_key_env is None:
        return
    if not os.environ.get(model.api_key_env, "").strip():
        raise ConfigError(
            f"the environment variable {model.api_key_env} holds no API key",
            origin=f"model.api_key_env of model={model.name}",
            hint=f"export {model.api_key_env}=…, or model.api_key_env=null for an open server",
        )
