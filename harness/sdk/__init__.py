"""Runs in the SageMaker SDK's own environment, .venv-cloud, which holds back packages that the harness has newer."""
