import gc
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from telemetry.memory import keep_what_stands


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Node:
    other: "Node"


def ring() -> list[int]:
    """Garbage that only the collector finds; and how often it was found."""
    found: list[int] = []

    class Watched(Node):
        def __del__(self) -> None:
            found.append(1)

    one, two = Watched(), Watched()
    one.other, two.other = two, one
    return found


def test_what_stands_is_not_looked_at_again_and_later_garbage_goes_all_the_same() -> None:
    standing = [Node() for _ in range(1000)]
    before = ring()
    keep_what_stands()
    assert len(before) == 2
    assert gc.get_freeze_count() > len(standing)
    assert not {id(node) for node in standing} & {id(each) for each in gc.get_objects()}
    after = ring()
    gc.collect()
    assert len(after) == 2


def test_a_ring_goes_once_as_much_has_come_as_was_said() -> None:
    keep_what_stands(2_000)
    found = ring()
    held = [Node() for _ in range(1_000)]
    assert not found
    held += [Node() for _ in range(2_000)]
    assert len(found) == 2


THREADS = """
import ctypes, sys, threading
from telemetry.memory import keep_what_stands
if sys.argv[1] == "kept":
    keep_what_stands()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
here = threading.Barrier(8)
def take():
    libc.malloc(1000)
    here.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no arenas")
@pytest.mark.parametrize(("how", "most"), [("kept", 2), ("as it is", 64)])
def test_threads_share_the_arenas_that_they_take_memory_from(how: str, most: int) -> None:
    told = subprocess.run([sys.executable, "-c", THREADS, how], capture_output=True, text=True, check=True).stdout
    arenas = told.count("<heap nr=")
    assert (arenas > 2) == (most > 2) and arenas <= most


HOLES = """
import ctypes, sys, time
import telemetry.memory
if sys.argv[1] == "kept":
    telemetry.memory._GIVE_BACK_EVERY_S = 0.05
    telemetry.memory.keep_what_stands()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
blocks = [libc.malloc(50_000) for _ in range(2000)]
for block in blocks: ctypes.memset(block, 1, 50_000)
for block in blocks[:-1]: libc.free(block)  # the last one keeps the heap from shrinking
until = time.monotonic() + float(sys.argv[2])
while resident() - before > 10_000_000 and time.monotonic() < until: time.sleep(0.02)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library does as it likes")
@pytest.mark.parametrize(("how", "patience_s", "most"), [("kept", 30, 10_000_000), ("as it is", 0.5, 200_000_000)])
def test_holes_in_the_heap_go_back_to_the_kernel(how: str, patience_s: float, most: int) -> None:
    command = [sys.executable, "-c", HOLES, how, str(patience_s)]
    left = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (left > 50_000_000) == (most > 50_000_000) and left <= most


def test_the_commands_processes_take_arrows_memory_from_the_system() -> None:
    script = "import gatehouse.__main__, gatehouse.core, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout == "system\n"
