"""SageMaker training jobs and endpoints on local hosts, as the platform would run them."""
