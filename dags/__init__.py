"""Airflow DAGs made from projects: projects in, registered versions out. Imports none of ours."""
