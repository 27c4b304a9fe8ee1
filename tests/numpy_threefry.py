"""Threefry-2x32-20 in NumPy, written from the paper: an oracle for random bits of jinit and JAX.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


def threefry_bits(key, count: int) -> np.ndarray:
    """Return the first `count` < 2^32 elements of `jax.random.bits`, all at once."""
    schedule = np.array([key[0], key[1], 0x1BD11BDA ^ int(key[0]) ^ int(key[1])], np.uint32)
    x = np.full(count, schedule[0])
    y = np.arange(count, dtype=np.uint32) + schedule[1]
    for step in range(20):
        distance = np.uint32(ROTATIONS[step % 8])
        x += y
        y = (y << distance | y >> (np.uint32(32) - distance)) ^ x
        if step % 4 == 3:
            injection = step // 4 + 1
            x += schedule[injection % 3]
            y += schedule[(injection + 1) % 3] + np.uint32(injection)
    return x ^ y


def threefry(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Encrypt one counter, in Python integers."""
    schedule = (*key, 0x1BD11BDA ^ key[0] ^ key[1])
    x, y = (counter[0] + key[0]) % 2**32, (counter[1] + key[1]) % 2**32
    for step in range(20):
        distance = ROTATIONS[step % 8]
        x = (x + y) % 2**32
        y = ((y << distance | y >> (32 - distance)) % 2**32) ^ x
        if step % 4 == 3:
            injection = step // 4 + 1
            x = (x + schedule[injection % 3]) % 2**32
            y = (y + schedule[(injection + 1) % 3] + injection) % 2**32
    return x, y


def random_bits(key: tuple[int, int], positions: np.ndarray, bits: int = 32) -> np.ndarray:
    """Return the elements of `jax.random.bits` at these row-major positions."""
    blocks = [threefry(key, divmod(int(position), 2**32)) for position in positions.ravel()]
    if bits == 64:
        flat = [high << 32 | low for high, low in blocks]
    else:
        flat = [(high ^ low) % 2**bits for high, low in blocks]
    return np.array(flat, f"uint{bits}").reshape(positions.shape)
