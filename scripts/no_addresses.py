"""Find tracked files that hold a package registry's address."""

import re
import subprocess
import sys
from pathlib import Path

HOSTS = re.compile(
    rb"https?://[^\s\"')]*(pypi\.org|pythonhosted\.org|registry\.npmjs|proxy\.golang|crates\.io)"
    rb"|--(?:(?:extra-)?index-url|find-links)[\s=]+['\"]?https?://(?![^/\s]*\.example)"
)


def _names_one(path: Path) -> bool:
    return bool(HOSTS.search(path.read_bytes()))


def main() -> int:
    """0 if no tracked file names one."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True)
    found = [
        path
        for path in listed.stdout.splitlines()
        if Path(path).is_file()
        and path != "scripts/no_addresses.py"
        and HOSTS.search(Path(path).read_bytes())
    ]
    for path in found:
        sys.stderr.write(f"{path}: names a package registry's host\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
