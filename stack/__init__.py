"""Run the local platform as processes: folders, ports, supervisord, components and health."""
