"""The local platform as processes: folders, ports, supervisord, components and their health."""
