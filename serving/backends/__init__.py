"""What has the model: a worker of ours, or a server beside this one."""
