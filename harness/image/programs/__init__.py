"""Programs of the image. They run inside a host and import nothing of the harness but `contract`, `hyperparameters`."""
