"""How a component's name and options are written, and how its target is imported. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.resources
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vssl_core.contracts import Spec
from vssl_core.discovery import IN_MEMORY, Entry
from vssl_core.errors import ConfigError, PluginError, near_names
from vssl_core.hookspecs import HOOK_KINDS

__all__ = [
    "CONFIG_KEYS",
    "Reference",
    "Resolved",
    "UnknownComponentError",
    "check_config_class",
    "describe",
    "import_object",
    "import_target",
    "kind_name",
    "parameters",
    "singular",
]

#: kind -> the word for one of it
_SINGULAR = {kind: kind.removesuffix("s") for kind in HOOK_KINDS.values()}

#: kind -> the key under which configurations hold one, for errors
CONFIG_KEYS = {**_SINGULAR, "datasets": "data", "trackers": "trackers"}


class UnknownComponentError(PluginError, ConfigError):
    """There is no component, or no kind, of that name: the name is wrong, or a plugin is missing or broken."""


def singular(kind: str) -> str:
    """Return the word for one component of a kind: ``"tasks"`` -> ``"task"``."""
    return _SINGULAR[kind]


def kind_name(text: str) -> str:
    """Return the kind that ``text`` means: ``"tasks"``, ``"task"``, and ``"data"`` for ``"datasets"``.

    Raises:
        UnknownComponentError: there is no such kind.
    """
    spellings = {spelling: kind for table in (_SINGULAR, CONFIG_KEYS) for kind, spelling in table.items()}
    spellings.update({kind: kind for kind in _SINGULAR})
    if text not in spellings:
        near = near_names(text, spellings) or ";"
        raise UnknownComponentError(f"there is no kind '{text}'{near} kinds: {', '.join(_SINGULAR)}")
    return spellings[text]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a configuration says of one component: name, recipe (or ``""``) and the options given."""

    name: str
    recipe: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, value: object, *, where: str) -> Reference:
        """Read ``"name"``, ``"name@recipe"`` or a mapping with ``name``, optionally ``recipe``, and options.

        Raises:
            ConfigError: it is none of these, or names two recipes.
        """
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}={value!r}: expected NAME, NAME@RECIPE or a mapping with 'name' and options")
        options = dict(value)
        name, recipe = options.pop("name", ""), options.pop("recipe", "")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{where}={dict(value)!r}: expected the name of a component under 'name'")
        if not isinstance(recipe, (str, type(None))):
            raise ConfigError(f"{where}.recipe={recipe!r}: expected the name of a recipe")
        name, at, suffix = name.partition("@")
        if at and recipe and suffix != recipe:
            raise ConfigError(f"{where}: names two recipes, '{suffix}' and '{recipe}'; keep one")
        if at and not suffix:
            raise ConfigError(f"{where}='{name}@': expected a recipe after '@', or no '@'")
        return cls(name, suffix or recipe or "", options)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A component with everything that decides what it does.

    Attributes:
        kind: such as ``"tasks"``.
        recipe: name of the recipe under the options, or ``""``.
        options: every option with its value, as plain JSON.
        entry: what was offered, and by whom.
        inner: the components that options name (declared by ``option(..., component=KIND)``), by option; those of a
            weighted sum (``components=KIND``) by option and name: ``"of.pace"``.
        unchanged: options added after runs were made, with the value that says what was done before
            (``option(..., before=VALUE)``): they decide nothing.
    """

    kind: str
    name: str
    recipe: str
    options: dict[str, Any]
    entry: Entry
    inner: Mapping[str, Resolved] = dataclasses.field(default_factory=dict)
    unchanged: frozenset[str] = frozenset()

    @property
    def spec(self) -> Spec:
        """The component's Spec."""
        return self.entry.spec

    @property
    def requires(self) -> frozenset[str]:
        """What it and the components inside it ask of a backbone."""
        return self.spec.requires.union(*(inner.requires for inner in self.inner.values()))

    @property
    def provides(self) -> frozenset[str]:
        """What it offers, ``"inner"`` being what the components inside it offer."""
        if "inner" not in self.spec.provides:
            return self.spec.provides
        return (self.spec.provides - {"inner"}).union(*(inner.provides for inner in self.inner.values()))

    @property
    def version(self) -> int:
        """The component's version."""
        return self.entry.spec.version

    @property
    def reference(self) -> str:
        """``"name"`` or ``"name@recipe"``."""
        return f"{self.name}@{self.recipe}" if self.recipe else self.name

    def as_config(self) -> dict[str, Any]:
        """Return the mapping form, which resolves to the same again on every machine with the same versions."""
        recipe = {"recipe": self.recipe} if self.recipe else {}
        return {"name": self.name, **recipe, **self.options}


def import_target(entry: Entry) -> Any:
    """Import what an entry points at: an object, or for suites the packaged file as a ``Traversable``.

    Raises:
        PluginError: it cannot be imported or is not there; names the plugin and the extras to install.
    """
    if entry.kind == "suites":
        package, _, path = entry.spec.target.partition(":")
        resource = _import(entry, package, importlib.resources.files).joinpath(path)
        if not resource.is_file():
            raise PluginError(f"{describe(entry)}: its package '{package}' holds no file '{path}'; is it package data?")
        return resource
    if "/" in entry.spec.name:
        member = import_object(entry, entry.spec.target)
        return functools.partial(member, entry.spec.name.partition("/")[2])
    return import_object(entry, entry.spec.target)


def import_object(entry: Entry, target: str) -> Any:
    """Import ``"package.module:Attribute"`` on behalf of an entry.

    Raises:
        PluginError: the import fails or the attribute is missing; names the plugin and the extras to install.
    """
    module_name, _, path = target.partition(":")
    found = _import(entry, module_name, importlib.import_module)
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            near = near_names(attribute, (name for name in dir(found) if not name.startswith("_")))
            raise PluginError(f"{describe(entry)}: '{module_name}' has no '{attribute}'{near}")
        found = getattr(found, attribute)
    return found


def _import(entry: Entry, module: str, load: Any) -> Any:
    try:
        return load(module)
    except ImportError as error:
        cause = f"{type(error).__name__}: {error}"
        raise PluginError(f"{describe(entry)}: cannot import '{module}': {cause}{_install(entry)}") from error
    except Exception as error:
        raise PluginError(f"{describe(entry)}: importing '{module}' raised {type(error).__name__}: {error}") from error


def _install(entry: Entry) -> str:
    if not entry.spec.extras:
        return ""
    if entry.distribution == IN_MEMORY:
        return f"; it needs the extras {', '.join(entry.spec.extras)}"
    return f"; it needs extras: pip install '{entry.distribution}[{','.join(entry.spec.extras)}]'"


def describe(entry: Entry) -> str:
    """Return ``"task 'rtt' (plugin 'speed' of vssl 0.1.0)"``, for messages."""
    return f"{singular(entry.kind)} '{entry.spec.name}' ({entry.offered_by})"


def parameters(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a constructor or function by name, none for one that has no signature."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def check_config_class(entry: Entry, cls: Any) -> type:
    """Return ``cls`` if it can hold an entry's options: a dataclass with a default for every field.

    Raises:
        PluginError: it cannot, or has a field called ``name`` or ``recipe``, which configurations use themselves.
    """
    owner = f"{describe(entry)}: config '{entry.spec.config}'"
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise PluginError(f"{owner} is {cls!r}; expected a dataclass")
    for field in dataclasses.fields(cls):
        if field.name in ("name", "recipe"):
            raise PluginError(f"{owner} has a field '{field.name}', which is a reserved word; rename it")
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise PluginError(f"{owner} has no default for '{field.name}'; give it one by option()")
    return cls
