"""Comparison of a commit with its ``dvc.lock``: code, data and parameters that stages read.

A commit may change code and leave ``dvc.lock`` as it was. Its lock then lists outputs that other
code made, and what is rebuilt from that commit need not be them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.core.yaml_reading import BadYamlError, load_yaml
from pipeline.lineage.content import folder_digest
from pipeline.lineage.git import Git
from pipeline.lineage.history import History
from pipeline.lineage.ignore import IGNORE_FILE, IgnorePatterns
from pipeline.lineage.upstream import Upstream


class Agreement:
    """Compares commits with their ``dvc.lock``; remembers the files that it has seen.

    Args:
        git: the repository.
        history: what its commits list.
    """

    def __init__(self, git: Git, history: History) -> None:
        self._git = git
        self._history = history
        self._hash_cache: dict[str, str] = {}
        self._folder_digests: dict[tuple[str, str, str | None], str] = {}
        self._ignore_patterns: dict[str | None, IgnorePatterns] = {}
        self._params: dict[str, Any] = {}

    def differences(self, commit: str, upstream: Upstream) -> Iterator[str]:
        """Names of files and folders that differ at a commit from what the stages read.

        A folder that git has, as the code of a room, is compared by the listing that DVC would make
        of the commit's tree, without what the commit's ``.dvcignore`` in the project's root leaves
        out. A file of a folder whose listing DVC's cache does not know is taken to agree.
        """
        outs = {out.path: out.digest for stage in upstream.stages for out in stage.outs}
        known = outs | {item.path: item.digest for item in upstream.raw}
        from_git = {item.path for item in upstream.code}
        for stage in upstream.stages:
            for dep in stage.deps:
                at_commit = self._listed(dep.path, known) or self._committed(commit, dep.path)
                absent = at_commit is None and dep.path in from_git
                if absent or at_commit not in {None, dep.digest}:
                    yield dep.path
            for file, values in stage.params.items():
                table = self._table(commit, file)
                for key, value in values.items():
                    if table is not None and look_up(table, key) != value:
                        yield f"{file}: {key}"

    def _listed(self, path: str, known: Mapping[str, str]) -> str | None:
        if path in known:
            return known[path]
        for folder, digest in known.items():
            if path.startswith(f"{folder}/"):
                files = self._history.folders.get(digest, {})
                return files.get(path.removeprefix(f"{folder}/"))
        return None

    def _committed(self, commit: str, path: str) -> str | None:
        """The digest of a file or folder that git has at a commit, as DVC works it out."""
        blob = self._git.id_of(commit, path)
        if blob is not None:
            return self._digest(blob)
        tree = self._git.tree_of(commit, path)
        if tree is None:
            return None
        # Patterns may name folders, so that one tree has another digest elsewhere.
        key = path, tree, self._git.id_of(commit, IGNORE_FILE)
        if key not in self._folder_digests:
            ignored = self._ignored(key[2])
            files = {
                name: self._digest(own)
                for name, own in self._git.blobs_of(tree).items()
                if not ignored.ignores(f"{path}/{name}")
            }
            self._folder_digests[key] = folder_digest(files)
        return self._folder_digests[key]

    def _ignored(self, blob: str | None) -> IgnorePatterns:
        if blob not in self._ignore_patterns:
            text = "" if blob is None else self._git.text(blob)
            self._ignore_patterns[blob] = IgnorePatterns(text)
        return self._ignore_patterns[blob]

    def _digest(self, blob: str) -> str:
        if blob not in self._hash_cache:
            data = self._git.data(blob)
            self._hash_cache[blob] = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return self._hash_cache[blob]

    def _table(self, commit: str, file: str) -> Any:
        blob = self._git.id_of(commit, file)
        if blob is None:
            return None
        if blob not in self._params:
            try:
                self._params[blob] = load_yaml(self._git.text(blob))
            except BadYamlError:
                self._params[blob] = {}
        return self._params[blob]


def look_up(table: Any, key: str) -> Any:
    """The value at a dotted key of nested mappings; ``None`` where there is none."""
    for part in key.split("."):
        if not isinstance(table, Mapping):
            return None
        table = table.get(part)
    return table
