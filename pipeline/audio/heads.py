"""What libsndfile is shown in place of the start of a file that it would misread."""

from __future__ import annotations

from pipeline.audio import joined, riff
from pipeline.audio.virtual import VirtualFile

_CONTAINERS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC", b"OggS")
"""First letters of files before which tags are of no use; libsndfile reads those of an MP3 itself."""


def show_readable(file: VirtualFile) -> riff.Wave | None:
    """Leave out ID3v2 tags before any other file than an MP3, and give a WAV a header that counts all its samples.

    libsndfile looks for the end of a file as many bytes too early as such a tag has, or does not know the file.

    Returns:
        What the header of a WAV said, None for other files.
    """
    start = joined.behind_tags(file.peek, 0)
    if start and file.peek(start, 4) in _CONTAINERS:
        file.show_instead(start, b"")
    wave = riff.Wave.read(file.peek)
    head = riff.closing_head(wave, file.peek, file.size()) if wave else None
    if wave and head is not None:
        file.show_instead(wave.start, head)
    return wave
