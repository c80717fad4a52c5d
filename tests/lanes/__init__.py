"""Run the lanes of the tests: what they need made ready beside them, each told of in one table."""
