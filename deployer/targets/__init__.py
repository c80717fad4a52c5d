"""Run deployments: one package per target, all behind the protocol in base."""
