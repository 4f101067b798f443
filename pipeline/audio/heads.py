"""What libsndfile is shown in place of the start of a file that it would misread."""

from __future__ import annotations

from pipeline.audio import riff
from pipeline.audio.virtual import VirtualFile


def show_readable(file: VirtualFile) -> riff.Wave | None:
    """Put a header that counts all samples before those of a WAV that leaves their number open.

    Returns:
        What the header of a WAV said, None for other files.
    """
    wave = riff.Wave.read(file.peek)
    head = riff.closing_head(wave, file.peek, file.size()) if wave else None
    if wave and head is not None:
        file.show_instead(wave.start, head)
    return wave
