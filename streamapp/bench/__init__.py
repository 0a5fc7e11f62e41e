"""Benchmarks of the real parts: broker, worker process, model. They report figures and judge nothing."""
