"""What our server needs to be a container of a SeldonDeployment."""
