"""The files of a logged model: fetch, check and keep them, and read what they require."""
