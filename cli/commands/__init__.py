"""One module per command or group of commands, each with an `app`; imported when it is invoked."""
