"""Texts with secrets, and what is left of them wherever they are shown."""

CASES = [
    ("password=hunter2", "password=[redacted]"),
    ("password = 'two words' left", "password = [redacted] left"),
    ("DB_PASSWORD: hunter2, user: bob", "DB_PASSWORD: [redacted], user: bob"),
    ('{"api_key": "abc", "n": 1}', '{"api_key": [redacted], "n": 1}'),
    ("AWS_SECRET_ACCESS_KEY=abc/def+1", "AWS_SECRET_ACCESS_KEY=[redacted]"),
    ("?token=abc&x=1", "?token=[redacted]&x=1"),
    ("at https://bob:hunter2@db.example/x", "at https://[redacted]@db.example/x"),
    ("two: ftp://a:b@h/x, s3://k@b", "two: ftp://[redacted]@h/x, s3://[redacted]@b"),
    ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
    ("KeyError: 'petal'", "KeyError: 'petal'"),
    ("see https://db.example/x?y=1", "see https://db.example/x?y=1"),
    ("see https://db.example:8080/a and mail@x.example", None),
    ("git+https://code.example/pkg.git at main", None),
]
CASES = [(text, text if clean is None else clean) for text, clean in CASES]
