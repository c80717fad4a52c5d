"""Records that tell of their writes, and whose database can be out of order."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.store.records import Records


class CountedRecords(Records):
    """Records that count what they write, and can be out of order."""

    writes = 0
    broken = False

    def get_all(self, prefix: str) -> dict[str, str]:
        if self.broken:
            raise OSError("the disk is gone")
        return super().get_all(prefix)

    def set_all(self, values: Mapping[str, str | None]) -> None:
        if self.broken:
            raise OSError("the disk is full")
        self.writes += 1
        super().set_all(values)
