"""streamapp: watch financial opinion on Kafka. Importing the package imports nothing."""
