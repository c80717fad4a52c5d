import pytest

from deployer.python_env.uv_output import explain

# As printed by uv 0.13.9, and one by 0.9.
NO_VERSION = """error: No solution found when resolving dependencies
  cause: Because there is no version of six==99 and you require six==99, we can conclude that your \
requirements are unsatisfiable.
"""
NO_VERSION_OLD = """  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:
  ╰─▶ Because there is no version of six==99 and you require six==99, we can
      conclude that your requirements are unsatisfiable.
"""
CONFLICT = """error: No solution found when resolving dependencies
  cause: Because pandas==2.3.3 depends on numpy{python_full_version < '3.12'}>=1.23.2 and you \
require numpy<1, we can conclude that your requirements and pandas==2.3.3 are incompatible.
         And because you require pandas==2.3.3, we can conclude that your requirements are \
unsatisfiable.
"""
BUILD = """Resolved 1 package in 8ms
error: Failed to build `pycrypto==2.6.1`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)

         [stdout]
         running bdist_wheel
         [stderr]
         configure: error: timed out, connection refused

hint: This error likely indicates that you need to install a library
"""
HASH = """error: Failed to download `six==1.16.0`
  cause: Hash mismatch for `six==1.16.0`

         Expected:
           sha256:f2ce
"""
REFUSED = """error: Failed to fetch: http://ann:s3cret@127.0.0.1:9/simple/six/
  cause: error sending request for url (http://ann:s3cret@127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
UNTRUSTED = """error: Failed to fetch: https://index.example/simple/six/
  cause: error sending request for url (https://index.example/simple/six/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer

hint: Consider enabling use of system TLS certificates with the `--system-certs` command-line flag
"""
FORBIDDEN = """error: Failed to fetch: https://index.example/simple/six/
  cause: HTTP status client error (403 Forbidden) for url (https://index.example/simple/six/)
"""
UNAVAILABLE = """error: Failed to fetch: https://index.example/simple/six/
  cause: HTTP status server error (503 Service Unavailable) for url (https://index.example/six/)
"""
SYNTAX = """error: Couldn't parse requirement in `requirements.in` at position 0
  cause: Unexpected end of version specifier, expected version
         six ==
             ^^
"""
FULL = """error: Failed to install: leaf-1.0-py3-none-any.whl (leaf==1.0)
  cause: failed to write: No space left on device (os error 28)
"""


@pytest.mark.parametrize(
    ("output", "blamed", "says", "transient"),
    [
        (NO_VERSION, "six==99", "there is no version of six==99", False),
        (NO_VERSION_OLD, "six==99", "there is no version of six==99", False),
        (CONFLICT, "pandas==2.3.3", "pandas==2.3.3 depends on numpy", False),
        (BUILD, "pycrypto==2.6.1", "The build backend returned an error", False),
        (HASH, "six==1.16.0", "Hash mismatch", False),
        (REFUSED, "six==99", "Connection refused", True),
        (UNTRUSTED, "six==99", "is not trusted (invalid peer certificate: UnknownIssuer)", True),
        (FORBIDDEN, "six==99", "403 Forbidden", False),
        (UNAVAILABLE, "six==99", "503 Service Unavailable", True),
        (SYNTAX, "six==99", "Couldn't parse requirement", False),
        (FULL, "", "no room left (failed to write: No space left on device", True),
        ("", "", "uv gave no reason", False),
        ("killed\n", "", "killed", False),
    ],
)
def test_a_complaint_becomes_a_sentence_that_blames_a_requirement(
    output: str, blamed: str, says: str, transient: bool
) -> None:
    failure = explain(output, ["mlflow==3.17.2", "numpy-financial==1", "pandas==2.3.3", "six==99"])
    assert failure.requirement == blamed
    assert says in failure.sentence
    assert failure.transient is transient
    assert "s3cret" not in failure.sentence


@pytest.mark.parametrize(
    ("output", "step"),
    [
        (UNTRUSTED, "Trust it."),
        (REFUSED, "index up"),
        (FULL, "Make room."),
        (CONFLICT, "Log less."),
    ],
)
def test_the_next_step_is_about_what_was_wrong(output: str, step: str) -> None:
    found = explain(output, ["six==99"]).next_step(trust="Trust it.", requirements="Log less.")
    assert step in found
    assert found.startswith("It is retried") is (output != CONFLICT)
