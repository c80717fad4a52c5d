"""Make Airflow DAGs from projects, which register model versions.

Imports no other package of ours.
"""
