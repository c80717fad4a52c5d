"""Where deployments run: one package or module per target, all behind the protocol in base."""
