"""Compiled programs that the command line keeps from one run to the next."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HIT_EVENT = "/jax/compilation_cache/cache_hits"
_MISS_EVENT = "/jax/compilation_cache/cache_misses"


class ProgramCounts:
    """How many programs were compiled, and how many were found."""

    def __init__(self) -> None:
        self.found = self.compiled = 0

    def count(self, event: str, **_: object) -> None:
        """Count an event of JAX."""
        self.found += event == _HIT_EVENT
        self.compiled += event == _MISS_EVENT

    def __str__(self) -> str:
        """Return both numbers in words; empty if the programs are not kept."""
        if not self.found + self.compiled:
            return ""
        return f"Programs: {self.compiled} compiled, {self.found} found compiled"


@contextmanager
def keep_compiled_programs() -> Iterator[ProgramCounts]:
    """Keep the programs that are compiled meanwhile in a folder, and use those of earlier runs.

    The folder is that of JAX, if JAX has been given one (`JAX_COMPILATION_CACHE_DIR`), else
    `jinit/programs` in the user's cache. Nothing is kept if that cannot be written to, and
    `JAX_ENABLE_COMPILATION_CACHE=false` turns it off.
    """
    import jax

    counts = ProgramCounts()
    config: Any = jax.config
    before = config.jax_compilation_cache_dir
    folder = None if before else _cache_folder()
    if folder:
        config.update("jax_compilation_cache_dir", str(folder))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.monitoring.register_event_listener(counts.count)
    try:
        yield counts
    finally:
        jax.monitoring.unregister_event_listener(counts.count)
        if folder:
            config.update("jax_compilation_cache_dir", before)


def _cache_folder() -> Path | None:
    """Return the folder in the user's cache; None if it cannot be written to."""
    import jax

    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(caches) / "jinit" / "programs"
    config: Any = jax.config
    if not config.jax_enable_compilation_cache:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
