"""A shared folder in memory, whose operations other workers interrupt, for forced interleavings."""

from collections.abc import Callable

from jinit.sweep.shared_folder import READ_LIMIT, FileVersion


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryFolder:
    """Files in a dictionary, by their names."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int]] = {}
        self.writes = 0

    def create(self, name: str, content: bytes) -> bool:
        if name in self.files:
            return False
        self.replace(name, content)
        return True

    def replace(self, name: str, content: bytes) -> None:
        self.writes += 1
        self.files[name] = content, self.writes

    def read(self, name: str) -> bytes | None:
        return self.files[name][0][:READ_LIMIT] if name in self.files else None

    def names(self, folder: str) -> list[str]:
        return [name.partition("/")[2] for name in self.files if name.startswith(folder + "/")]

    def versions(self, folder: str) -> dict[str, FileVersion]:
        return {
            name: FileVersion(self.files[f"{folder}/{name}"][1], 0, 0)
            for name in self.names(folder)
        }

    def remove(self, name: str) -> None:
        self.files.pop(name, None)


class InterruptedFolder(MemoryFolder):
    """What one worker sees of a folder. Others act before or after one of its operations.

    `before` and `after` name an operation and the beginning of a file name, such as
    `("create", "leases/")`; what they name is called once.
    """

    def __init__(self, shared: MemoryFolder) -> None:
        self.shared = shared
        self.before: dict[tuple[str, str], Callable[[], object]] = {}
        self.after: dict[tuple[str, str], Callable[[], object]] = {}

    def create(self, name: str, content: bytes) -> bool:
        return self._act("create", name, lambda: self.shared.create(name, content))

    def replace(self, name: str, content: bytes) -> None:
        return self._act("replace", name, lambda: self.shared.replace(name, content))

    def read(self, name: str) -> bytes | None:
        return self._act("read", name, lambda: self.shared.read(name))

    def names(self, folder: str) -> list[str]:
        return self._act("names", folder, lambda: self.shared.names(folder))

    def versions(self, folder: str) -> dict[str, FileVersion]:
        return self._act("versions", folder, lambda: self.shared.versions(folder))

    def remove(self, name: str) -> None:
        return self._act("remove", name, lambda: self.shared.remove(name))

    def _act(self, operation, name, act):
        self._interrupt(self.before, operation, name)
        answer = act()
        self._interrupt(self.after, operation, name)
        return answer

    @staticmethod
    def _interrupt(interruptions, operation, name):
        for place in list(interruptions):
            if place[0] == operation and name.startswith(place[1]):
                interruptions.pop(place)()
