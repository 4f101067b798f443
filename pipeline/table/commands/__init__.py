"""The commands that look after a table: one module for each group, each command a value with its options."""
