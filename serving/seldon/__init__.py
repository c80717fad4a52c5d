"""Run our server as a container of a SeldonDeployment."""
