"""The protocol of Fluid Benchmarking's paper on known answers, and what its methods are worth."""
