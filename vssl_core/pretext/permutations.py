"""Tables of permutations that order tasks and puzzles number their classes by."""

from __future__ import annotations

import math

import numpy as np

from vssl_core.errors import ConfigError

__all__ = ["all_orders", "distant_permutations", "orders_up_to_reversal", "reversal_classes"]

#: all_orders(9), the largest table that is still quick to list
_MOST_ITEMS = 9


def all_orders(n: int) -> np.ndarray:
    """Return every order of ``n`` items, int64 ``[n!, n]``, as ``itertools.permutations`` lists them; row 0 is sorted.

    Raises:
        ConfigError: ``n`` is below 1 or above 9.
    """
    return _orders(n).T.astype(np.int64)


def orders_up_to_reversal(n: int) -> np.ndarray:
    """Return one order of each pair that are each other's reversal, int64 ``[n!/2, n]``: that which starts lower.

    Many actions look natural played backward, so that an order and its reversal are one class (OPN, arXiv 1708.01246,
    section 3.2).

    Raises:
        ConfigError: ``n`` is below 2 or above 9.
    """
    if n < 2:
        raise ConfigError(f"{n} item has no order to reverse; take 2 or more")
    orders = all_orders(n)
    return orders[orders[:, 0] < orders[:, -1]]


def reversal_classes(n: int) -> np.ndarray:
    """Return int64 ``[n!]``: the row of ``orders_up_to_reversal(n)`` that each row of ``all_orders(n)`` belongs to."""
    number = {tuple(order): row for row, order in enumerate(orders_up_to_reversal(n).tolist())}
    return np.array(
        [number[order if order[0] < order[-1] else order[::-1]] for order in map(tuple, all_orders(n).tolist())],
        dtype=np.int64,
    )


def distant_permutations(n: int, count: int, seed: int = 0) -> np.ndarray:
    """Return ``count`` orders of ``n`` items that differ in as many places as can be, int64 ``[count, n]``.

    The greedy choice of M. Noroozi and P. Favaro (arXiv 1603.09246, algorithm 1): the first order is drawn, each next
    one has the largest mean Hamming distance to those chosen so far; the first in the list's order among equals.

    Args:
        n: items, 2 to 9.
        count: how many, at most n!.
        seed: of the first one; the same seed gives the same table everywhere.

    Raises:
        ConfigError: there are not as many orders, or too many items.
    """
    orders = _orders(n)
    if not 1 <= count <= orders.shape[1]:
        raise ConfigError(f"there are {math.factorial(n)} orders of {n} items, not {count}; ask for fewer")
    chosen = [int(np.random.default_rng(seed).integers(orders.shape[1]))]
    # Sums of distances rank like their means; a chosen order must not be chosen again.
    distance = np.zeros(orders.shape[1], dtype=np.int32)
    for _ in range(count - 1):
        for item in orders:
            distance += item != item[chosen[-1]]
        distance[chosen[-1]] = np.iinfo(np.int32).min
        chosen.append(int(distance.argmax()))
    return orders[:, chosen].T.astype(np.int64)


def _orders(n: int) -> np.ndarray:
    """Return the table of ``all_orders`` as int8 ``[n, n!]``: hundreds of passes over 9! orders stay cheap.

    Raises:
        ConfigError: ``n`` is below 1 or above 9.
    """
    if not 1 <= n <= _MOST_ITEMS:
        raise ConfigError(f"orders of {n} items cannot be listed; take 1 to {_MOST_ITEMS} of them")
    table = np.zeros((1, 1), dtype=np.int8)
    for items in range(2, n + 1):
        # Behind each first item the others stand in the orders of one item less, numbered among themselves.
        blocks = [np.vstack([np.full(table.shape[1], first), table + (table >= first)]) for first in range(items)]
        table = np.hstack(blocks).astype(np.int8)
    return table
