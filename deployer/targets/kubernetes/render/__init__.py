"""Render the manifests of a deployment from charts."""
