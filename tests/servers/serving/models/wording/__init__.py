"""Code that a model brings along (`code_paths`)."""


def worded(value):
    """Return the type and the value of what a model was given."""
    if isinstance(value, dict):
        return {name: worded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [worded(each) for each in value]
    return f"{type(value).__name__}: {value}"
