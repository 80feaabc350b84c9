"""Reads the YAML of a run file: the safe loader, which here refuses a key that stands twice."""

from __future__ import annotations

from typing import Any

import yaml

from lmms.errors import ConfigError

_MERGE_TAG = "tag:yaml.org,2002:merge"


class RunFileLoader(yaml.SafeLoader):
    """The safe loader; of a repeated key YAML would silently take the last value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Returns a mapping as written, before `<<` merges others into it.

        Raises:
            ConfigError: A key stands there twice.
        """
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                continue
            line, identity = key.start_mark.line + 1, (key.tag, key.value)
            if identity in seen:
                raise ConfigError(
                    f"the key {key.value!r} stands twice, in lines {seen[identity]} and {line}",
                    origin=f"file {self.name} line {line}",
                    hint="keep one of them",
                )
            seen[identity] = line
        return node


def read_yaml(text: str, name: str) -> tuple[Any, list[dict[str, int]]]:
    """Returns the content of a run file, and per run the line of each of its keys.

    Args:
        text: Content of the file.
        name: The file, for errors.

    Raises:
        ConfigError: A key stands twice in a mapping.
        yaml.YAMLError: It is not YAML.
    """
    loader = RunFileLoader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    runs = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return content, [_lines(run) for run in runs]


def _lines(node: Any) -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
