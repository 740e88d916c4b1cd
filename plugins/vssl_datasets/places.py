"""Where an official data set lies: its root, its folders and its annotation files."""

from __future__ import annotations

from pathlib import Path

from vssl_core.errors import ConfigError, DataError

__all__ = ["Places"]


class Places:
    """Finds the parts of a data set below its root; whatever is missing is named with the key that says where it is.

    Args:
        spec: the data set's name in configurations.
        root: directory of the data set.

    Raises:
        ConfigError: ``root`` is empty.
        DataError: ``root`` is no directory.
    """

    def __init__(self, spec: str, root: str) -> None:
        self.help = f"`vssl info datasets {spec}` says where to get it and how it must lie"
        if not root:
            raise ConfigError(
                f"data.root is empty; give the directory of {spec}: data={spec} data.root=PATH. {self.help}"
            )
        self.root = Path(root).expanduser().absolute()
        if not self.root.is_dir():
            raise DataError(f"data.root={root!r} is no directory. {self.help}")

    def folder(self, key: str, value: str) -> Path:
        """Return a folder, which is relative to the root unless absolute; an empty ``value`` is the root itself.

        Raises:
            DataError: there is none.
        """
        folder = self.root / Path(value).expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder} (data.{key}={value!r}). {self.help}")
        return folder

    def file(self, key: str, folder: Path, *names: str) -> Path:
        """Return the file of one of these names, or of one that ends in ``-NAME`` or ``_NAME``, as releases differ.

        Args:
            key: what says where ``folder`` is.
            folder: where it is looked for, and nowhere below.
            names: such as ``"val.csv", "validate.csv"``.

        Raises:
            DataError: there is none, or several.
        """
        found = sorted(
            path.name
            for path in folder.iterdir()
            if any(path.name == name or path.name.endswith((f"-{name}", f"_{name}")) for name in names)
            and not path.name.startswith(".")
        )
        if not found:
            others = f" (nor {', '.join(names[1:])})" if len(names) > 1 else ""
            raise DataError(f"there is no file {folder / names[0]}{others}; data.{key} says where it is. {self.help}")
        if len(found) > 1:
            raise DataError(
                f"{' and '.join(found)} in {folder} could each be {names[0]}; leave one of them there, or give another "
                f"folder as data.{key}. {self.help}"
            )
        return folder / found[0]
