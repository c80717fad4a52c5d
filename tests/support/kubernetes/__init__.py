"""What tests of the Kubernetes target share."""
