"""What names say: which files are audio, their keys and ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.documents import is_text
from pipeline.storage.secrets import redact

AUDIO = frozenset(
    (
        "8svx", "aif", "aifc", "aiff", "au", "avr", "bwf", "caf", "flac", "ircam", "mp1", "mp2", "mp3", "mpa", "mpga",
        "nist", "oga", "ogg", "ogx", "opus", "paf", "pvf", "rf64", "sds", "snd", "sph", "svx", "voc", "w64", "wav",
        "wave", "wve",
    )
)  # fmt: skip
"""Extensions of what libsndfile reads."""
UNREADABLE = frozenset(
    (
        "3g2", "3gp", "aac", "ac3", "amr", "ape", "asf", "avi", "awb", "dff", "ds2", "dsf", "dss", "flv", "gsm", "m4a",
        "m4b", "m4r", "m4v", "mka", "mkv", "mov", "mp4", "mpc", "mpeg", "mpg", "ogv", "pcm", "ra", "shn", "spx", "tta",
        "vox", "weba", "webm", "wma", "wmv", "wv", "wv1", "wv2",
    )
)  # fmt: skip
"""Extensions of sound that libsndfile cannot read; told to the user, for they would be missed.

What is more often something else is not here: raw (photographs), ts (programs), zip.
"""
PACKED = frozenset(("bz2", "gz", "xz", "zst"))
"""Extensions of single files that are compressed, which are not opened."""
TARS = (".tar",)
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
MANIFESTS = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source's ids begin: the name of its corpus, and the folder that paths are counted from."""

    corpus: str
    root: str
    """URI of a folder."""

    @classmethod
    def of(cls, root: str, corpus: str | None) -> Place:
        """By default the folder's URI names the corpus."""
        return cls((corpus or root).rstrip("/"), root)

    def below(self, uri: str) -> str:
        """Give the path below the root; the URI itself for what lies elsewhere."""
        root = self.root if self.root.endswith("/") else self.root + "/"
        return uri.removeprefix(root)

    def id(self, path: str, member: str | None = None) -> str:
        """Make the id of a whole recording; a path that is a URI needs no corpus before it unless it was named."""
        outside = "://" in path and self.corpus == self.root.rstrip("/")
        whole = path if outside else f"{self.corpus}/{path}"
        return whole if member is None else f"{whole}::{member}"

    def members(self, uri: str) -> str:
        """Give what the ids of a tar's members begin with."""
        return self.id(self.below(uri), "")


def extension(path: str) -> str:
    """Give the lower-case last extension without its dot; "" without one."""
    base = path.rpartition("/")[2]
    stem, dot, last = base.rpartition(".")
    return last.lower() if dot and stem else ""


def unread(path: str) -> str | None:
    """Say why what sounds by its name cannot be read, and the remedy; None for all else."""
    last = extension(path)
    if last in UNREADABLE:
        return f"{last} cannot be read; convert it to FLAC or Opus"
    if last in PACKED and extension(without_extension(path)) in AUDIO:
        return f"audio within {last} is not opened; decompress it"
    return None


def without_extension(path: str) -> str:
    """Give a path without its last extension."""
    last = extension(path)
    return path[: -len(last) - 1] if last else path


def tar_key(member: str) -> tuple[str, str]:
    """Cut a member's name at the first dot of its base name, as WebDataset does: key and lower-case rest."""
    folder, slash, base = member.rpartition("/")
    key, _, rest = base.partition(".")
    return folder + slash + key, rest.lower()


_SUSPECT = re.compile(r"(?i)[?&;#]|%3|x-amz-|awsaccesskeyid|://")
"""What stands in front of, or in, what is masked in a path."""


def refusal(name: str) -> str | None:
    """Say why nothing with a name is planned, since ids and plans keep names as they are; None where it may be.

    Args:
        name: of a member, or a path without its scheme.

    Names on local disks and in tars may be any bytes; what was fetched by a signed URL is often named for all of it.
    """
    if not is_text(name):
        return "is not UTF-8; rename it"
    # Masking takes some 5 us, and folders of tables have names with an equals sign.
    if _SUSPECT.search(name) and redact(name) != name:
        return "holds credentials, which would stay in its id; rename it"
    return None


def shown(name: str) -> str:
    """Make a name of any bytes printable, without credentials."""
    return redact(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
