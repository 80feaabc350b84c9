"""Finds a model's files and reads the small ones. No torch, no weights in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmms
from lmms.config.schema import EnvConfig, ModelConfig
from lmms.errors import ConfigError, HubError, ModelError, UnknownNameError

CARD_FILE = "lmms.json"
_WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
_SMALL_PATTERNS = ["*.json", "*.jinja", "*.txt", "*.model", "*.py", "*.tiktoken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Where a model is and what it is called."""

    name: str
    """Name as shown in tables."""
    reference: str
    """What was asked for: hub id or folder."""
    folder: Path
    """Holds config.json and the other small files; for a local model the weights too."""
    hub_id: str | None = None
    commit: str | None = None
    """Hub commit of `folder`."""
    embedded: bool = False

    def read_json(self, name: str) -> dict[str, Any]:
        """Returns a JSON file of the folder, empty if there is none.

        Raises:
            ModelError: The file is not a JSON object.
        """
        path = self.folder / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}", origin=self.reference) from error
        if not isinstance(content, dict):
            raise ModelError(f"{path} does not hold a JSON object", origin=self.reference)
        return content


def locate(config: ModelConfig, env: EnvConfig) -> ModelFiles:
    """Returns where the files of `config`'s model are; small hub files are fetched if allowed.

    Raises:
        ConfigError: Own weights under `env=embedded`, or no weights were named.
        ModelError: The folder is missing or is no model folder.
        HubError: The hub cannot be reached, refuses, or is forbidden by `env.offline`.
    """
    if env.weights == "embedded":
        return _locate_embedded(config, env)
    reference = config.pretrained or config.hub
    if reference is None:
        raise ConfigError(
            f"model {config.name!r} names no weights",
            origin=f"model={config.name}",
            allowed="model.pretrained=HUB_ID or model.pretrained=FOLDER",
        )
    return locate_reference(reference, env, revision=config.revision)


def locate_reference(reference: str, env: EnvConfig, *, revision: str | None = None) -> ModelFiles:
    """Returns where a folder or hub id is (weights, tokenizer or adapter alike).

    Raises:
        ModelError: A folder that does not exist.
        HubError: The hub cannot be reached, refuses, or is forbidden by `env.offline`.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        name = folder.resolve().name
        return ModelFiles(name=name, reference=reference, folder=folder.resolve())
    if _looks_like_path(reference):
        raise ModelError(
            f"the model folder {reference!r} does not exist",
            origin="model.pretrained",
            hint="give a folder with config.json and weights, or a hub id such as OWNER/NAME",
        )
    snapshot = fetch(reference, env, revision=revision, patterns=_SMALL_PATTERNS)
    return ModelFiles(
        name=reference.rsplit("/", 1)[-1],
        reference=reference,
        folder=snapshot,
        hub_id=reference,
        commit=snapshot.name,
    )


def _locate_embedded(config: ModelConfig, env: EnvConfig) -> ModelFiles:
    origin = f"env={env.name}"
    if config.pretrained is not None:
        raise ConfigError(
            f"model.pretrained={config.pretrained} was given, but env={env.name} runs the embedded "
            "weights",
            origin=origin,
            hint="add env=hub to run your own weights",
        )
    if config.embedded is None:
        raise ConfigError(
            f"model {config.name!r} has no embedded weights",
            origin=origin,
            hint="add env=hub to run weights from the hub or from a folder",
        )
    root = Path(lmms.__file__).parent / "_data" / "embedded"
    folder = root / config.embedded
    if not (folder / "config.json").is_file():
        known = [p.parent.name for p in root.glob("*/config.json")]
        raise UnknownNameError("embedded model", config.embedded, known, origin=origin)
    name = (
        json.loads((folder / CARD_FILE).read_text("utf-8")).get("name")
        if (folder / CARD_FILE).is_file()
        else None
    )
    return ModelFiles(
        name=name or config.embedded,
        reference=f"embedded:{config.embedded}",
        folder=folder,
        embedded=True,
    )


def _looks_like_path(reference: str) -> bool:
    return reference.startswith(("/", "./", "../", "~")) or reference.count("/") > 1


def fetch(hub_id: str, env: EnvConfig, *, revision: str | None, patterns: list[str] | None) -> Path:
    """Returns the local snapshot folder of a hub model, downloading what is missing if allowed.

    Args:
        hub_id: `OWNER/NAME`.
        env: `offline` forbids downloads.
        revision: Branch, tag or commit.
        patterns: Files to fetch; None: all.

    Raises:
        HubError: Not on this machine while offline, not reachable, unknown, or refused.
    """
    from huggingface_hub import errors, snapshot_download

    switched_off = os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes"}
    offline = env.offline or switched_off
    try:
        snapshot = snapshot_download(
            hub_id, revision=revision, allow_patterns=patterns, local_files_only=offline
        )
    except errors.GatedRepoError as error:
        raise HubError(
            f"the hub refuses access to {hub_id!r}: its licence must be accepted first",
            origin="model.pretrained",
            hint=f"accept it at https://huggingface.co/{hub_id} and set HF_TOKEN",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(
            f"{hub_id!r} has no revision {revision!r}", origin="model.revision"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise HubError(
            f"{hub_id!r} is neither a folder here nor a model on the hub",
            origin="model.pretrained",
            hint="check the name; private models need HF_TOKEN",
        ) from error
    except Exception as error:  # the client wraps causes in many classes; all mean "not obtained"
        raise _not_obtained(hub_id, error, by_env=env.offline, by_variable=switched_off) from error
    return Path(str(snapshot))


def _not_obtained(hub_id: str, error: Exception, *, by_env: bool, by_variable: bool) -> HubError:
    """Returns the error for files that are not here, with the way out that this run has.

    Args:
        hub_id: `OWNER/NAME`.
        error: What the hub's client raised.
        by_env: `env.offline` forbids downloads.
        by_variable: `HF_HUB_OFFLINE` forbids downloads.
    """
    from lmms.documents.hub import NO_HUB_HINT, why_not_fetched

    missing = f"the files of {hub_id!r} are not on this machine"
    if not by_env and not by_variable:
        return HubError(
            f"{missing} and {why_not_fetched(error)}", origin="model.pretrained", hint=NO_HUB_HINT
        )
    allow = [
        *(["set env.offline=false"] if by_env else []),
        *(["unset HF_HUB_OFFLINE"] if by_variable else []),
    ]
    return HubError(
        f"{missing} and downloads are off",
        origin="env.offline=true" if by_env else "environment variable HF_HUB_OFFLINE",
        hint=f"{' and '.join(allow)} to download, point HF_HOME at a cache that has them, or use "
        "env=embedded, which needs no network",
    )


def weight_files(files: ModelFiles) -> list[Path]:
    """Returns the weight files of a local model folder, sorted.

    Raises:
        ModelError: There are none, or a shard that the index names is missing.
    """
    for pattern in _WEIGHT_PATTERNS:
        found = sorted(files.folder.glob(pattern))
        if found:
            break
    else:
        raise ModelError(
            f"the model folder {files.folder} has no weights",
            origin=files.reference,
            allowed=list(_WEIGHT_PATTERNS),
            hint="a checkpoint that is still being written or an adapter alone is not a model; "
            "adapters are given as model.adapter=FOLDER",
        )
    for index in sorted(files.folder.glob("*.index.json")):
        shards = files.read_json(index.name).get("weight_map") or {}
        missing = sorted({s for s in shards.values() if not (files.folder / s).is_file()})
        if missing:
            raise ModelError(
                f"the model folder {files.folder} lacks {len(missing)} weight files that "
                f"{index.name} names, first {missing[0]}",
                origin=files.reference,
            )
    return found


def model_settings(files: ModelFiles) -> dict[str, Any]:
    """Returns config.json.

    Raises:
        ModelError: There is none.
    """
    settings = files.read_json("config.json")
    if not settings:
        raise ModelError(
            f"{files.folder} is not a model folder: it has no config.json",
            origin=files.reference,
        )
    return settings


def processor_settings(files: ModelFiles) -> dict[str, dict[str, Any]]:
    """Returns the image and video settings of the processor; a missing one is absent.

    New checkpoints hold both in processor_config.json, older ones in files of their own, and the
    oldest have one file for both.
    """
    joint = files.read_json("processor_config.json")
    image = joint.get("image_processor") or files.read_json("preprocessor_config.json")
    video = joint.get("video_processor") or files.read_json("video_preprocessor_config.json")
    shown = {"image": image, "video": video or image}
    return {kind: settings for kind, settings in shown.items() if settings}


def chat_template_text(config: ModelConfig, files: ModelFiles) -> str | None:
    """Returns the chat template in force: the configured one, else the checkpoint's.

    Raises:
        ConfigError: `model.chat_template` is neither a template nor an existing file.
    """
    if config.chat_template is not None:
        return configured_template(config.chat_template)
    plain = files.folder / "chat_template.jinja"
    if plain.is_file():
        return plain.read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        template: Any = files.read_json(name).get("chat_template")
        if isinstance(template, str):
            return template
        if template:  # several named templates; "default" is what the tokenizer takes
            named: Mapping[str, str] = (
                template
                if isinstance(template, dict)
                else {t["name"]: t["template"] for t in template}
            )
            return named.get("default", json.dumps(named, sort_keys=True))
    return None


def configured_template(value: str) -> str:
    """Returns the text of `model.chat_template`, which is a template or the path of one.

    Raises:
        ConfigError: It is neither.
    """
    if "{{" in value or "{%" in value:
        return value
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"the chat template {value!r} is neither Jinja text nor an existing file",
            origin="model.chat_template",
        )
    return path.read_text(encoding="utf-8")
