"""Define the Deployer's tables, for each database."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = 1
"""The version of this schema. Other versions have their number in `memory`; without a number there,
the schema is this one."""

WHICH: Final = "SELECT value FROM memory WHERE name = 'schema'"
WHAT: Final = "The Deployer's database"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS records (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (
  sequence {counted}, at {number} NOT NULL, deployment TEXT NOT NULL,
  kind TEXT NOT NULL, action TEXT NOT NULL, before TEXT, after TEXT,
  why TEXT NOT NULL, who TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_of ON history (deployment, sequence);
CREATE TABLE IF NOT EXISTS evidence (
  deployment TEXT NOT NULL, subject TEXT NOT NULL, began BIGINT NOT NULL, policy TEXT NOT NULL,
  step INTEGER NOT NULL, number BIGINT NOT NULL, body {bytes} NOT NULL,
  PRIMARY KEY (deployment, subject, began, policy, number)
);
CREATE TABLE IF NOT EXISTS verdicts (
  deployment TEXT NOT NULL, subject TEXT NOT NULL, began BIGINT NOT NULL, policy TEXT NOT NULL,
  step INTEGER NOT NULL, at {number} NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (deployment, subject, began, policy, step)
);
"""

SQLITE: Final = (
    _TABLES.format(counted="INTEGER PRIMARY KEY AUTOINCREMENT", number="REAL", bytes="BLOB")
    + """
CREATE TRIGGER IF NOT EXISTS history_keeps BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER IF NOT EXISTS history_stays BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
"""
)
POSTGRES: Final = (
    _TABLES.format(counted="BIGSERIAL PRIMARY KEY", number="DOUBLE PRECISION", bytes="BYTEA")
    + """
CREATE OR REPLACE FUNCTION history_refuses() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'history is append-only'; END $$;
CREATE OR REPLACE TRIGGER history_keeps BEFORE UPDATE OR DELETE ON history
FOR EACH ROW EXECUTE FUNCTION history_refuses();
"""
)
