"""Every byte that is read, listed or written: the only code that knows fsspec."""
