"""Voxmill turns archives of audio into tables."""

__version__ = "0.1.0"
