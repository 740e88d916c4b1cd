"""Which generator made a set: a hash of the code that decides its pixels."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tokenize
from pathlib import Path

from vssl_datasets.toy.spec import ToySpec

# The modules that decide a set's bytes and labels, per set. Orchestration (processes, locks,
# folders) is left out: it can change without changing a pixel.
_SHARED = ("layout", "sprites", "encode")
MODULES = {"toy-motion": (*_SHARED, "motion"), "toy-physics": (*_SHARED, "physics")}

# The generators as they were when their validation figures were taken, before any
# self-supervised run. A changed hash is a changed data set: raise the spec's version, validate
# again (docs/toy-datasets.md), then record the new hash here.
FROZEN_HASHES = {
    "toy-motion": "de89220af57b26cbd3613491229112ff3aa13cfb16eda77434e34bc81a969541",
    "toy-physics": "1e5366e069f1c7780d225a3679c1f65162c1724564f0062b6da90a7a0f6c77d8",
}

_IGNORED = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER})
_MARKS = {
    tokenize.NEWLINE: "<newline>",
    tokenize.INDENT: "<indent>",
    tokenize.DEDENT: "<dedent>",
}


def normalised_source(source: str) -> str:
    """Return Python source as a list of tokens without comments, docstrings or layout.

    The result is the same for every Python version and for any wrapping of lines (a trailing
    comma still counts), unlike ``ast.dump``, whose form changes between versions.
    f-strings are refused, because Python 3.12 began to split them into several tokens.
    """
    tokens: list[str] = []
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _IGNORED:
            continue
        name = tokenize.tok_name[token.type]
        prefix = token.string.partition('"')[0].partition("'")[0].lower()
        if name.startswith("FSTRING") or (name == "STRING" and "f" in prefix):
            raise ValueError(f"line {token.start[0]}: no f-strings in frozen modules")
        if token.type in _MARKS:
            is_docstring = len(statement) == 1 and statement[0].type == tokenize.STRING
            if not is_docstring:
                tokens += [part.string for part in statement]
                tokens.append(_MARKS[token.type])
            statement = []
        else:
            statement.append(token)
    return "\n".join(tokens)


def _read_sources() -> dict[str, str]:
    """Return the normalised source of every module that decides a set, by module name."""
    folder = Path(__file__).parent
    names = sorted({name for modules in MODULES.values() for name in modules})
    return {name: normalised_source((folder / (name + ".py")).read_text(encoding="utf-8")) for name in names}


# Read with the import, not with each call: a process must name its sets after the code that it
# runs, not after an edit made since.
_SOURCES = _read_sources()


@functools.cache
def generator_hash(spec: ToySpec) -> str:
    """Return the SHA-256 (hex) of a set's generator: its modules' code and the spec's fields.

    Comments, docstrings and line wrapping do not count, and neither does the machine: pixels are
    not hashed, because their last bit may differ between processors.
    """
    digest = hashlib.sha256()
    for module in MODULES[spec.name]:
        digest.update(f"{module}\n{_SOURCES[module]}\n".encode())
    digest.update(json.dumps(spec.to_dict(), sort_keys=True).encode())
    return digest.hexdigest()


def check_frozen(spec: ToySpec) -> None:
    """Raise ``ValueError`` if the code of ``spec``'s generator is not the frozen one."""
    actual, frozen = generator_hash(spec), FROZEN_HASHES[spec.name]
    if actual != frozen:
        raise ValueError(
            f"the generator of {spec.name} version {spec.version} has changed: its hash is "
            f"{actual}, frozen was {frozen}. Undo the change, or raise the version, validate the "
            f"set again and record the new hash in {__file__}"
        )
