"""Put MNIST where the job looks for it: `make data`, or `python mnist_job/prepare_data.py [--root FOLDER]`.

Looks in the data folder itself, then in the folder named by MNIST_DIR, then at torchvision's public
mirrors. Each file is held to its MD5 sum, and a damaged one is refused by name. When nothing can be
reached, 1,797 real digits that scikit-learn carries in its package stand in, in the same files, so that
the job always runs; a note beside them says so, and every later run tries again to get the real ones.
Exits with 0 (done) or 2 (refused).

Most runs find everything in place and should take no time, so what only the others need is imported where
it is used: mirrors.py (network) and stand_in.py (numpy, scikit-learn).
"""

import argparse
import hashlib
import os
import sys
import time
import zlib
from pathlib import Path

# MD5 sums of the unpacked files.
MNIST = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
# As in torchvision.datasets.MNIST.mirrors; both hold <name>.gz.
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
NOTE = "STAND-IN-DIGITS.txt"  # lies in the data folder as long as its files are not MNIST's

NOTICE = """
*******************************************************************************
*  THIS IS NOT MNIST.  Neither MNIST_DIR nor a mirror had it: the 1,797 real  *
*  digits of scikit-learn (8x8, enlarged to 28x28) stand in for its 70,000.   *
*  Everything runs with them, but accuracies are not those of MNIST.          *
*                                                                             *
*  To get the real thing, do this again with a network, or name a folder      *
*  that holds its four files, gzipped or not:                                 *
*                                                                             *
*      MNIST_DIR=/path/to/mnist make data                                     *
*******************************************************************************
"""


class Refused(Exception):
    """Something the user has to put right; the message says what."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- pure -------------------------------------------------------------------------------------------------


def md5(content):
    return hashlib.md5(content).hexdigest()  # noqa: S324 (the published sums are MD5)


def unpacked(content):
    """The content of a file that may be gzipped, told by its first bytes. Raises ValueError when damaged."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        reader = zlib.decompressobj(wbits=31)
        plain = reader.decompress(content)
    except zlib.error as problem:
        raise ValueError(str(problem)) from problem
    if not reader.eof:
        raise ValueError("ends too early")
    return plain


def checked(content, right, origin):
    """The unpacked content of a file whose MD5 sum must be `right`. Raises Refused that names its origin."""
    try:
        plain = unpacked(content)
    except ValueError as problem:
        raise Refused("{} is damaged ({}): replace it".format(origin, problem)) from problem
    if md5(plain) != right:
        raise Refused("{} is damaged (md5 {} instead of {}): replace it".format(origin, md5(plain), right))
    return plain


def to_fetch(sums, expected, stand_in):
    """Names still to be fetched, of a folder whose files have those MD5 sums (None: no such file).

    Any file may be replaced while the stand-in is there; otherwise a wrong sum means damage. Raises Refused.
    """
    damaged = [name for name, right in expected.items() if sums[name] not in (None, right)]
    if damaged and not stand_in:
        raise Refused("damaged in the data folder (wrong md5): {}: remove and try again".format(", ".join(damaged)))
    return [name for name, right in expected.items() if sums[name] != right]


def note_text(sums):
    """What the note beside the stand-in says: NOTICE, and the MD5 sums of the files it is about."""
    return NOTICE + "\n" + "".join("{}  {}\n".format(sums[name], name) for name in sorted(sums))


# --- files ------------------------------------------------------------------------------------------------


def write(path, content):
    """Write a file whole or not at all: Ctrl-C, a full disk or a second run leave no half one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".{}.{}".format(path.name, os.getpid()))
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        if temporary.exists():
            temporary.unlink()


def find_in(folder, name):
    """The file of that name in a folder of any usual layout, or None."""
    places = (folder, folder / "MNIST" / "raw")
    choices = (place / (name + ending) for place in places for ending in ("", ".gz"))
    return next((path for path in choices if path.is_file()), None)


class DataFolder:
    """Where the job's data lies, laid out as torchvision.datasets.MNIST does, and what belongs there."""

    def __init__(self, root, expected=MNIST):
        self.root, self.expected = Path(root), expected
        self.raw, self.note = self.root / "MNIST" / "raw", self.root / NOTE

    def sums(self):
        paths = {name: self.raw / name for name in self.expected}
        return {name: md5(path.read_bytes()) if path.is_file() else None for name, path in paths.items()}

    def put(self, name, content, origin):
        """Take a file, packed or not, that came from `origin`. Raises Refused when it is another one."""
        write(self.raw / name, checked(content, self.expected[name], origin))


# --- sources ----------------------------------------------------------------------------------------------


def copy_from(source, names, folder):
    """Fill the data folder from MNIST_DIR. The user named it, so anything wrong with it is refused."""
    if not source.is_dir():
        raise Refused("MNIST_DIR={} is no folder: name one, or unset it".format(source))
    found = {name: find_in(source, name) for name in names}
    missing = ", ".join(name for name in names if found[name] is None)
    if missing:
        raise Refused("MNIST_DIR={} lacks {} (or .gz): put it there, or unset MNIST_DIR".format(source, missing))
    for name, path in found.items():
        folder.put(name, path.read_bytes(), path)


def download(names, folder, bases, patience):
    """Fill the data folder from the mirrors; says whether all came. Raises Refused when one came damaged."""
    import mirrors

    alive = mirrors.alive(bases, names[0] + ".gz", patience, say)
    return all(download_one(name, folder, alive) for name in names)


def download_one(name, folder, bases):
    """One file from the first mirror that has it whole; says whether one had. Raises Refused for damage."""
    import mirrors

    damage = None
    for base in bases:
        url = base.rstrip("/") + "/" + name + ".gz"
        try:
            folder.put(name, mirrors.fetch(url), url)
        except mirrors.Unreachable as problem:
            say("data: {}".format(problem))
        except Refused as problem:
            damage = problem
        else:
            return True
    if damage:
        raise damage
    return False


def stand_in(folder):
    """Fill the data folder with scikit-learn's digits, unless they are there already; say so in any case."""
    say(NOTICE)
    sums = folder.sums()
    if folder.note.is_file() and None not in sums.values() and folder.note.read_text() == note_text(sums):
        return
    try:
        import stand_in as digits

        files = digits.files()
    except ImportError as problem:
        raise Refused("the stand-in needs more ({}): pip install numpy scikit-learn".format(problem)) from problem
    # The note first: with it, files that an interruption leaves behind are never mistaken for damaged MNIST.
    write(folder.note, note_text({name: md5(content) for name, content in files.items()}).encode())
    for name, content in files.items():
        write(folder.raw / name, content)


# --- the story --------------------------------------------------------------------------------------------


def prepare(folder, mnist_dir, bases):
    """Have all files in the data folder; returns what they are. Raises Refused."""
    was_stand_in = folder.note.is_file()
    names = to_fetch(folder.sums(), folder.expected, was_stand_in)
    packed = [name for name in names if (folder.raw / (name + ".gz")).is_file()]  # as torchvision leaves them
    for name in packed:
        path = folder.raw / (name + ".gz")
        folder.put(name, path.read_bytes(), path)
    names = [name for name in names if name not in packed]
    if names and mnist_dir:
        copy_from(Path(mnist_dir).expanduser(), names, folder)
    # A network that was closed the last time is likely to be so still: do not make every run wait for it.
    elif names and not download(names, folder, bases, patience=1.0 if was_stand_in else 3.0):
        if not was_stand_in and folder.expected.items() & folder.sums().items():
            raise Refused("only a part of MNIST is in {}, no mirror has the rest: try again".format(folder.raw))
        stand_in(folder)
        return "the stand-in, not MNIST"
    if folder.note.is_file():
        folder.note.unlink()
    return "MNIST, md5 sums right"


def make_parser():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        epilog="environment: MNIST_DIR, a folder that holds the four files",
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("--root", type=Path, default=here / "data", help="data folder (default: %(default)s)")
    parser.add_argument(
        "--mirror",
        action="append",
        metavar="URL",
        help="download <name>.gz from there, not from torchvision's mirrors; may be given several times",
    )
    return parser


def main(argv=None, environ=os.environ):
    args = make_parser().parse_args(argv)
    started = time.monotonic()
    try:
        what = prepare(DataFolder(args.root), environ.get("MNIST_DIR"), tuple(args.mirror or MIRRORS))
    except (Refused, OSError) as problem:
        say("data: error: {}".format(problem))
        return 2
    except KeyboardInterrupt:
        say("data: interrupted")
        return 130
    say("data: {} holds {} ({:.1f} s)".format(args.root, what, time.monotonic() - started))
    return 0


if __name__ == "__main__":
    sys.exit(main())
