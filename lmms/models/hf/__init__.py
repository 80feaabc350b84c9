"""Local models through Hugging Face transformers.

`create` reads small files only; torch is imported when the model is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms.config.schema import EnvConfig, ModelConfig
    from lmms.models.hf.model import HFModel


def create(config: ModelConfig, *, env: EnvConfig) -> HFModel:
    """Returns the back end for a validated model config; loads no weights and no torch.

    Raises:
        LmmsError: The model's files are missing or cannot be reached, or torch is not installed.
    """
    from lmms.models.hf.model import HFModel

    return HFModel(config, env)
