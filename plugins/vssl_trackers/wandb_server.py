"""Whether a W&B server can be used: found out without a prompt, within a time limit, and once a process.

``wandb.init`` may retry for minutes when a key is wrong or a server is silent, and after a failed start its run id
stays in use. So the question is put to the server before ``wandb.init``, with one small request.
"""

from __future__ import annotations

import functools
import netrc
import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

import requests

__all__ = ["find_key", "server_problem"]


def find_key(base_url: str, configured: str | None) -> str | None:
    """Return the API key of a server from ``WANDB_API_KEY``, W&B's own settings or netrc; None if there is none.

    Args:
        base_url: such as ``https://api.wandb.ai``.
        configured: the key in W&B's settings, if they hold one.
    """
    key = os.environ.get("WANDB_API_KEY") or configured
    if key:
        return key
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for place in places:
        try:
            entry = netrc.netrc(Path(place).expanduser()).authenticators(urlsplit(base_url).hostname or "")
        except (OSError, netrc.NetrcParseError):
            continue
        if entry and entry[2]:
            return entry[2]
    return None


@functools.lru_cache(maxsize=8)
def server_problem(base_url: str, key: str | None, timeout_s: float) -> str:
    """Ask the server who we are, and return why it cannot be used, or ``""`` if it can.

    The answer is remembered for the process, so that a suite of many jobs waits once for a silent server.

    Args:
        base_url: the server.
        key: API key; None where an identity token is used, which only ``wandb`` itself can check.
        timeout_s: seconds after which the server counts as silent, name look-up included.
    """
    answer: list[str] = []
    # Name look-up has no time limit of its own, so the request runs in a thread that is left behind if need be.
    asking = threading.Thread(target=lambda: answer.append(_ask(base_url, key, timeout_s)), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return answer[0] if answer else f"{base_url} did not answer within {timeout_s:g} s"


def _ask(base_url: str, key: str | None, timeout_s: float) -> str:
    try:
        answer = requests.post(
            f"{base_url.rstrip('/')}/graphql",
            json={"query": "query { viewer { id } }"},
            auth=("api", key) if key else None,
            timeout=timeout_s,
        )
    except requests.exceptions.SSLError:
        return ""  # wandb has certificates of its own; its start has a time limit too
    except requests.exceptions.RequestException as error:
        return f"{base_url} cannot be reached ({type(error).__name__})"
    if key is None:
        return ""
    if answer.status_code in (401, 403):
        return f"{base_url} refused the API key"
    if not answer.ok:
        return f"{base_url} answered with status {answer.status_code}"
    try:
        known = answer.json()["data"]["viewer"] is not None
    except (ValueError, KeyError, TypeError):
        return f"{base_url} is no W&B server"
    return "" if known else f"{base_url} does not know the API key"
