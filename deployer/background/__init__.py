"""Run work that no pass waits for: jobs, processes, locks between processes."""
