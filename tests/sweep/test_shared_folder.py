"""A folder that workers share: files appear completely, once, and whatever lies there is read."""

import errno
import os
import pathlib
import time

import pytest

from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.shared_folder import READ_LIMIT


@pytest.fixture
def folder(tmp_path):
    return DirectoryFolder(tmp_path)


def test_a_file_is_created_once_and_completely(folder, tmp_path):
    assert folder.create("leases/a.1", b"one")
    assert not folder.create("leases/a.1", b"two")
    assert folder.read("leases/a.1") == b"one"
    assert folder.names("leases") == ["a.1"]
    assert [path.name for path in tmp_path.rglob("*")] == ["leases", "a.1"]


def test_a_file_that_is_replaced_has_another_version(folder):
    seen = set()
    for number in range(50):
        folder.replace("workers/a.json", b"same size %03d" % number)
        seen.add(folder.versions("workers")["a.json"])
        time.sleep(0.005)  # the clock of a file system ticks every few milliseconds
    assert len(seen) == 50


def test_what_is_not_there_is_neither_read_nor_listed(folder, tmp_path):
    assert folder.read("leases/a.1") is None
    assert folder.names("leases") == []
    assert folder.versions("workers") == {}
    folder.remove("leases/a.1")
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_writer_that_was_killed_is_not_listed(folder, tmp_path, monkeypatch):
    def end(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", end)
    monkeypatch.setattr(pathlib.Path, "unlink", end)
    with pytest.raises(KeyboardInterrupt):
        folder.create("leases/a.1", b"one")
    monkeypatch.undo()
    assert len(list((tmp_path / "leases").iterdir())) == 1
    assert folder.names("leases") == []
    assert folder.versions("leases") == {}
    assert folder.create("leases/a.1", b"two")


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_file_is_created_once_where_links_are_impossible(folder, monkeypatch, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fail)
    assert folder.create("leases/a.1", b"one")
    assert not folder.create("leases/a.1", b"two")
    assert folder.read("leases/a.1") == b"one"
    assert folder.names("leases") == ["a.1"]


def test_a_link_whose_answer_was_lost_counts(folder, monkeypatch):
    """A file server that is asked again says that the file exists."""
    link = os.link

    def link_twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    assert folder.create("leases/a.1", b"one")
    assert not folder.create("leases/a.1", b"two")


def open_files():
    """The number of open files of this process, where the system tells it."""
    files = pathlib.Path("/proc/self/fd")
    return len(list(files.iterdir())) if files.exists() else None


def test_what_is_not_a_file_is_an_error_and_makes_no_one_wait(folder, tmp_path):
    (tmp_path / "leases" / "a.1").mkdir(parents=True)
    os.mkfifo(tmp_path / "leases" / "b.1")
    (tmp_path / "leases" / "c.1").symlink_to("c.1")
    before = open_files()
    for name in ("a.1", "b.1", "c.1"):
        with pytest.raises(OSError, match=rf"cannot read .*{name}"):
            folder.read(f"leases/{name}")
        assert not folder.create(f"leases/{name}", b"one")
    assert open_files() == before
    assert sorted(folder.names("leases")) == sorted(folder.versions("leases"))


def test_the_beginning_of_a_huge_file_is_read(folder, tmp_path):
    (tmp_path / "leases").mkdir()
    with (tmp_path / "leases" / "a.1").open("wb") as file:
        file.truncate(1 << 40)
    assert folder.read("leases/a.1") == bytes(READ_LIMIT)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_named(folder, tmp_path, monkeypatch, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)
    for write in (folder.create, folder.replace):
        with pytest.raises(OSError, match=r"cannot write .*a\.1: .*free space; mend this") as error:
            write("leases/a.1", b"one")
        assert error.value.errno == code
    assert not list(tmp_path.rglob("*.*"))


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "leases").touch()
    folder = DirectoryFolder(tmp_path)
    for act in (
        lambda: folder.create("leases/a.1", b""),
        lambda: folder.names("leases"),
        lambda: folder.versions("leases"),
    ):
        with pytest.raises(OSError, match=r"cannot (write|list) .*leases"):
            act()
    assert folder.read("leases/a.1") is None


@pytest.mark.parametrize("name", ["a.1", "../a/b", "leases/../a", "leases/.a", "/etc/passwd", "l/"])
def test_only_names_of_files_below_are_taken(folder, name):
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        folder.read(name)
