"""The only Ray code: carries the functions of `pipeline.flow` over a cluster."""
