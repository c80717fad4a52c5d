"""Configure Airflow: its airflow.cfg, its DAG file and its migrated database.

The options are those of Airflow 3.3.2's own config.yml, as described in
airflow.apache.org/docs/apache-airflow/stable/configurations-ref.html.
"""

import configparser
import io
import subprocess
import sys
from importlib import metadata

from stack.credentials import Credentials
from stack.errors import ComponentError
from stack.files import write_private
from stack.paths import Layout
from stack.settings import CODE, code_environment


def render(layout: Layout, port: int, credentials: Credentials) -> str:
    """Render airflow.cfg, which holds secrets, so the file is for its owner only.

    It is a file because pipeline steps would inherit environment variables.
    """
    url = f"http://127.0.0.1:{port}"
    config = configparser.RawConfigParser()
    config.read_dict(
        {
            "core": {
                "dags_folder": layout.airflow_dags,
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 2,  # keeps the memory of all of Airflow near 0.9 GB
                "dags_are_paused_at_creation": False,
                "fernet_key": credentials.airflow_fernet_key,
                "simple_auth_manager_users": "admin:admin",
                "simple_auth_manager_passwords_file": layout.airflow_passwords,
                "execution_api_server_url": f"{url}/execution/",
                # A changed project shows in the UI as soon as Airflow has read it.
                "min_serialized_dag_update_interval": 2,
            },
            "api": {
                "host": "127.0.0.1",
                "port": port,
                "base_url": url,
                "workers": 1,
                "secret_key": credentials.airflow_api_secret,
            },
            "api_auth": {"jwt_secret": credentials.airflow_jwt_secret},
            # The only DAG file reads the registered projects: Airflow parses it every few seconds.
            "dag_processor": {
                "min_file_process_interval": 5,
                "refresh_interval": 10,
                "parsing_processes": 1,
                "print_stats_interval": 0,
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{layout.airflow / 'airflow.db'}"},
            "logging": {
                "base_log_folder": layout.airflow / "logs",
                "dag_processor_child_process_log_directory": layout.logs / "airflow-dags",
                "colored_console_log": False,
            },
        }
    )
    for section in config.sections():
        for option, value in config.items(section):
            config.set(section, option, str(value).replace("%", "%%"))
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def dag_file() -> str:
    """Write the only DAG file, which makes Airflow's DAGs from the registered projects."""
    lines = [
        '"""Make an Airflow DAG of each registered project. Written by `schnitzel up`."""',
        "",
    ]
    if code_environment():  # run from a checkout that is not installed
        lines += ["import sys", "", f"sys.path.append({str(CODE)!r})", ""]
    lines += ["from dags.projects import register", "", "register(globals())", ""]
    return "\n".join(lines)


def prepare(layout: Layout, environment: dict[str, str]) -> None:
    """Migrate Airflow's database to the installed version's schema, once for each version.

    Args:
        layout: the home.
        environment: all environment variables of the command.

    Raises:
        ComponentError: `airflow db migrate` failed; with its last lines.
    """
    stamp = layout.airflow / "migrated-to"
    version = metadata.version("apache-airflow-core")
    database = layout.airflow / "airflow.db"
    if database.exists() and stamp.exists() and stamp.read_text() == version:
        return
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=environment,
        cwd=layout.airflow,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    log = layout.logs / "airflow-migrate.log"
    log.write_bytes(done.stdout)
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace").strip().splitlines()[-10:]
        raise ComponentError(
            "\n".join([f"Airflow's database could not be migrated; see {log}.", *output]),
            "Run: schnitzel doctor",
        )
    write_private(stamp, version)
