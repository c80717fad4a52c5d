import base64
import getpass
import hashlib
import json
from pathlib import Path

from stack import credentials
from stack.paths import Layout


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert credentials.ensure(layout) == credentials.ensure(layout)


def test_the_token_names_the_user_and_is_known_to_the_deployer_by_its_hash(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    made = credentials.ensure(layout)
    assert layout.token.read_text() == f"{getpass.getuser()}:{made.token}\n"
    known = json.loads(layout.tokens.read_text())
    assert known == {hashlib.sha256(made.token.encode()).hexdigest(): getpass.getuser()}


def test_tokens_of_others_stay(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.secrets.mkdir()
    layout.tokens.write_text('{"abc": "ci"}')
    credentials.ensure(layout)
    assert json.loads(layout.tokens.read_text())["abc"] == "ci"


def test_all_of_them_are_for_their_owner_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    credentials.ensure(layout)
    assert layout.secrets.stat().st_mode & 0o777 == 0o700
    for path in (layout.token, *layout.secrets.iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_the_encryption_key_has_the_form_that_fernet_wants(tmp_path: Path) -> None:
    key = credentials.ensure(Layout(tmp_path)).webhook_encryption_key
    assert len(base64.urlsafe_b64decode(key)) == 32


def test_a_secret_is_not_in_what_is_printed_of_it(tmp_path: Path) -> None:
    made = credentials.ensure(Layout(tmp_path))
    assert made.token not in repr(made)
    assert made.airflow_password not in repr(made)
