"""What stands in for systems that cannot be had; each says in FIDELITY.md how true it is."""
