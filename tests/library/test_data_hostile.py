"""Files that lie, hang, explode or run code: every one ends in a sentence."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import pickle
import re
import struct
import threading
import warnings
import zipfile
import zlib
from collections import OrderedDict

import numpy as np
import pytest

from skelfreq.data import READERS, Limits, Options, SkeletonFormatError, files, matfile, read
from skelfreq.data.__main__ import main
from skelfreq.data.archives import open_archive
from skelfreq.data.arrays import map_npy, read_npy, read_npy_header
from skelfreq.data.files import open_regular, read_bytes, read_json, text_lines
from skelfreq.data.fuzz import Figures, fuzz
from skelfreq.data.fuzzing.samples import SAMPLES, write_sample
from skelfreq.data.fuzzing.worker import Case, make_case, run_case
from skelfreq.data.matfile import MatFile
from skelfreq.data.pickles import read_pickle


def npy_header(shape, descr="'<f4'", order="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def zip_of(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, data in entries.items():
            archive.writestr(f"{key}.npy", data)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


# The two cases that brought down earlier versions


@pytest.mark.parametrize("format", ["ctrgcn_npz", "clips_npz", "array"])
def test_a_header_that_declares_168_gib(tmp_path, format):
    key = {"ctrgcn_npz": "x_train", "clips_npz": "joints", "array": "x"}[format]
    path = zip_of(tmp_path / "a.npz", {key: npy_header("(1000000, 300, 150)")})
    assert path.stat().st_size < 400
    with pytest.raises(SkeletonFormatError, match="needs 180000000000 bytes, 0 are there"):
        read(path, format, Options(axes="NTVC"))


def test_lengths_that_wrap_in_int64(tmp_path):
    joints = np.ones((8, 20, 3), np.float32)
    lengths = np.array([2**62] * 3 + [2**62 + 8])
    with np.errstate(over="ignore"):
        assert lengths.sum() == len(joints)
    path = tmp_path / "a.npz"
    np.savez(path, joints=joints, lengths=lengths)
    with pytest.raises(SkeletonFormatError, match=f"got a sum of {4 * 2**62 + 8}"):
        read(path)


# Arrays and archives


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (npy_header("(3,)", "'|O'"), "expected numbers or text, got the dtype '|O'"),
        (npy_header("(3,)", "[('a', '<f4')]"), "cannot read the .npy header"),
        (npy_header("(-1,)"), "cannot read"),
        (npy_header("(" + "9" * 30 + ",)"), "cannot read the shape"),
        (npy_header("(" + "1, " * 40 + ")"), "cannot read the shape"),
        (npy_header("(" * 9000 + ")" * 9000), "cannot read the .npy header"),
        (npy_header("(2,)", "'<f4'", "None"), "cannot read the .npy header"),
        (npy_header("(2,)", "'<U999999999'"), "expected numbers or text"),
        (npy_header("(2, 2)"), "needs 16 bytes, 8 are there"),
        (npy_header("(1,)"), "needs 4 bytes, 8 are there"),
        (b"\x93NUMPY\x07\x00", "expected version 1, 2 or 3"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "expected a header of at most"),
        (b"\x93NUMPY\x01\x00\x05\x00ab", "complete .npy header"),
        (b"PK", "expected an .npy array"),
        (b"", "expected an .npy array"),
    ],
)
def test_npy_headers(tmp_path, header, message):
    path = tmp_path / "a.npy"
    path.write_bytes(header + b"\0" * 8 if header[:1] == b"\x93" else header)
    with pytest.raises(SkeletonFormatError) as raised:
        read_npy(path)
    assert message in str(raised.value)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", "u1", "?", "<U5", "<f2"])
def test_npy_files_are_read_as_numpy_reads_them(tmp_path, order, dtype):
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, order=order).astype(dtype, order=order)
    path = tmp_path / "a.npy"
    np.save(path, array)
    for found in (read_npy(path), map_npy(path)):
        assert found.dtype == array.dtype and np.array_equal(found, array)
    assert read_npy_header(path).order == order
    for empty in (np.zeros((0, 3)), np.float64(3)):
        np.save(path, empty)
        assert np.array_equal(map_npy(path), empty)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(tmp_path, version):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.arange(6).reshape(2, 3), version=version)
    assert np.array_equal(read_npy(path), np.arange(6).reshape(2, 3))


def test_archives_that_grow(tmp_path):
    zeros = npy(np.zeros((2_000_000, 3), np.float32))
    path = zip_of(tmp_path / "bomb.npz", {"joints": zeros}, zipfile.ZIP_DEFLATED)
    assert len(zeros) > 1000 * path.stat().st_size
    with pytest.raises(SkeletonFormatError, match="more than 1000 times"):
        read(path, "clips_npz")
    path = zip_of(tmp_path / "large.npz", {"joints": zeros})
    with pytest.raises(SkeletonFormatError, match=r"limit is 1000000.*--max-bytes"):
        read(path, "clips_npz", Options(Limits(1_000_000)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_does_not_write(tmp_path, method):
    path = zip_of(tmp_path / "a.npz", {"joints": npy(np.ones((4, 20, 3)))}, method)
    with pytest.raises(SkeletonFormatError, match="compression method"):
        read(path, "clips_npz")


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"PK\x05\x06" + b"\0" * 17])
def test_archives_without_a_directory(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(SkeletonFormatError, match="got no zip directory at its end"):
        read(path, "clips_npz")


def test_archives_with_other_faults(tmp_path):
    good = {"joints": npy(np.ones((4, 20, 3), np.float32)), "lengths": npy(np.array([4]))}
    path = zip_of(tmp_path / "a.npz", {**good, "lengths": npy(np.array([4], object))})
    with pytest.raises(SkeletonFormatError, match=r"lengths: expected numbers or text.*objects"):
        read(path)
    data = bytearray(zip_of(path, good).read_bytes())
    for place in (data.find(b"PK\x01\x02") + 8, data.find(b"PK\x03\x04") + 6):
        data[place] |= 1
    path.write_bytes(data)
    with pytest.raises(SkeletonFormatError, match="is encrypted"):
        read(path)
    data = bytearray(zip_of(path, good).read_bytes())
    data[data.find(b"\x00\x00\x80\x3f") + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(SkeletonFormatError, match="Bad CRC"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr("joints.npy", good["joints"])
    with pytest.raises(SkeletonFormatError, match="occurs twice"):
        read(path, "clips_npz")
    path.write_bytes(b"PK\x05\x06" + b"\0" * 8 + b"\xff\xff\xff\x7f" + b"\0" * 6)
    with pytest.raises(SkeletonFormatError, match="declares a zip directory of 2147483647 bytes"):
        read(path, "clips_npz")
    with (
        open_archive(zip_of(path, good)) as archive,
        pytest.raises(SkeletonFormatError, match="expected the key 'x', got 'joints', 'lengths'"),
    ):
        archive.header("x")


# Text and JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "at most 32 levels of brackets, got 100000"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "got 1000"),
        ("[1, 2", "line 1: expected JSON"),
        ("", "expected JSON"),
        ("[\n1,\n2 3]", "line 3: expected JSON"),
        ("[" + "9" * 5000 + "]", "an integer of 5000 digits"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("\ud800", "byte 0: expected UTF-8 text"),
    ],
)
def test_json(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SkeletonFormatError, match=message) as raised:
        read_json(path)
    assert str(raised.value).startswith(str(path))


def test_json_that_is_right(tmp_path):
    path = tmp_path / "a.json"
    brackets_in_text = {"a": "[" * 100 + '\\"' + "{", "b\\": ["]]]]", [1.5, None, True]]}
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        path.write_text(json.dumps(brackets_in_text), encoding)
        assert read_json(path) == brackets_in_text
    path.write_text("[" * 32 + "]" * 32)
    read_json(path)
    path.write_text("[NaN, -Infinity, 1e999]")
    assert math.isnan(read_json(path)[0])
    with pytest.raises(SkeletonFormatError, match=r"holds 23 bytes of data, the limit is 22"):
        read_json(path, Limits(22))


def test_json_of_too_many_values(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_JSON_MEMORY", 10_000)
    path = tmp_path / "a.json"
    path.write_text("[" + "{}," * 100 + "1]")
    with pytest.raises(SkeletonFormatError, match=r"would need some .* bytes.*--max-bytes"):
        read_json(path)
    assert len(read_json(path, Limits(100_000))) == 101
    monkeypatch.undo()
    # The last key of very many is the one that repeats: found in one pass.
    path.write_text("{" + ",".join(f'"k{i}":0' for i in range(200_000)) + ',"k199999":1}')
    with pytest.raises(SkeletonFormatError, match="the key 'k199999' occurs twice"):
        read_json(path)


def test_text_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert list(text_lines(path, Limits())) == [(1, b"one\r\n"), (2, b"two")]
    path.write_text("text", "utf-16")
    with pytest.raises(SkeletonFormatError, match="got UTF-16"):
        list(text_lines(path, Limits()))
    path.write_bytes(b"1 " * 600_000)
    with pytest.raises(SkeletonFormatError, match="lines of at most 1048576 bytes"):
        list(text_lines(path, Limits()))


# What is no file


def test_pipes_links_folders_and_devices(tmp_path):
    pipe, loop, dangling = tmp_path / "pipe", tmp_path / "loop", tmp_path / "dangling"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere")
    to_pipe = tmp_path / "link"
    to_pipe.symlink_to(pipe)
    for path, message in (
        (pipe, "got a pipe"),
        (to_pipe, "got a pipe"),
        (loop, "cannot be opened"),
        (dangling, "cannot be opened"),
        (tmp_path, "got a folder"),
        (tmp_path / "absent", "cannot be opened .No such file"),
        (tmp_path / "nul\0byte", "cannot be opened"),
    ):
        with pytest.raises(SkeletonFormatError, match=message):
            open_regular(path, Limits(), "text")
    good = tmp_path / "good"
    good.write_bytes(b"abc")
    (tmp_path / "good link").symlink_to(good)
    assert read_bytes(tmp_path / "good link", Limits(), "text") == b"abc"


@pytest.mark.parametrize("format", SAMPLES)
def test_no_reader_waits_for_a_pipe_or_follows_a_loop(tmp_path, format):
    given = write_sample(format, tmp_path, np.random.default_rng(0))
    file = next(path for path in sorted(tmp_path.rglob("*")) if path.is_file())
    (tmp_path / "round").symlink_to(tmp_path)
    if given.is_file():
        file = given
    file.unlink()
    os.mkfifo(file)
    outcome = []

    def attempt():
        try:
            outcome.append(read(given, format, Options(axes="NTVC")))
        except SkeletonFormatError as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(20)
    assert len(outcome) == 1


# Pickles


class Calls:
    """Asks the unpickler to call a function."""

    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (os.system, ("touch canary",), "posix.system"),
        (eval, ("open('canary', 'w')",), "builtins.eval"),
        (exec, ("open('canary', 'w')",), "builtins.exec"),
        (open, ("canary", "w"), "io.open"),
        (getattr, (dict, "fromkeys"), "builtins.getattr"),
        (bytearray, (10,), "builtins.bytearray"),
        (np.zeros, (10,), "numpy.zeros"),
        (np.load, ("canary",), "numpy.load"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_call_nothing(tmp_path, monkeypatch, call, arguments, named, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"keypoint": Calls(call, *arguments)}, protocol))
    with pytest.raises(SkeletonFormatError) as raised:
        read(path)
    assert "not allowed" in str(raised.value)
    assert named.split(".")[-1] in str(raised.value)
    assert not (tmp_path / "canary").exists()


NDARRAY = b"cnumpy\nndarray\n"
FROMBUFFER = b"cnumpy.core.numeric\n_frombuffer\n("
UINT8 = b"cnumpy\ndtype\n(U\x02u1tR"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (NDARRAY + b"((I1000000000\nttR.", "a call of numpy.ndarray"),
        (NDARRAY + b"}X\x01\x00\x00\x00xK\x01sb.", "state"),
        (b"c_codecs\nencode\n}X\x01\x00\x00\x00xK\x01sb.", "state"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(I99999999999\ntU\x01btR.",
         "an array in another form"),
        (b"cnumpy\ndtype\n(U\x0aV999999999tR.", "the dtype"),
        (b"]r\xff\xff\xff\x7f.", "beyond their count"),
        (b"]p99999999\n.", "beyond their count"),
        (b"B\xff\xff\xff\x7fabc.", "declares 2147483647 bytes"),
        (b"\x8e" + b"\xff" * 7 + b"\x7f.", "which are not there"),
        (b"\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20) + b".", "an integer of 1048576 bytes"),
        (b"\x95" + b"\xff" * 7 + b"\x0fN.", "a frame that is longer"),
        (b"I" + b"9" * 100_000 + b"\n.", "no pickle of plain data"),
        (b"(ios\nsystem\n.", "opcode b'i', which is not allowed"),
        (b"Pabc\n.", "opcode b'P', which is not allowed"),
        (b"N", "ends before its last opcode"),
        (b"", "ends before its last opcode"),
        (b"}" * 5_000 + b".", "holds more than"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(K\x00tU\x01btR(K\x01(K\x01t"
         + UINT8 + b"\x89X\x02\x00\x00\x00\xc4\x80tb.", "no pickle of plain data"),
        (FROMBUFFER + b"U\x01a" + UINT8 + b"K\x01\x85U\x01CtR.", "an array without its bytes"),
        (FROMBUFFER + b"N" + UINT8 + b"K\x00\x85U\x01CtR.", "an array of objects"),
        (FROMBUFFER + b"C\x01aNK\x01\x85U\x01CtR.", "an array without dtype"),
        (FROMBUFFER + b"C\x01a" + UINT8 + b"K\x02\x85U\x01CtR.", "an array of shape (2,) with 1"),
        (FROMBUFFER + b"C\x01a" + UINT8 + b"K\x01\x85U\x01AtR.", "an array in another order"),
        (FROMBUFFER + b"C\x01a" + UINT8 + b"K\x01\x85U\x01KK\x01\x85tR.", "another order of axes"),
        (FROMBUFFER + b"C\x01a" + UINT8 + b"K\x01\x85U\x01C}tR.", "an array in another order"),
    ],
    ids=range(25),
)  # fmt: skip
def test_pickles_ask_for_nothing(tmp_path, monkeypatch, data, message):
    monkeypatch.setattr("skelfreq.data.pickles._MAX_OBJECTS_BYTES", 100 * 1000)
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04" + data)
    with pytest.raises(SkeletonFormatError) as raised:
        read_pickle(path)
    assert message in str(raised.value)


def test_pickles_are_followed_to_the_byte(tmp_path):
    """Texts of 1,000 bytes, and one that says to have more than what is left."""
    path = tmp_path / "a.pkl"
    text = b"X" + struct.pack("<L", 1000) + b"a" * 1000
    for last in (b"X\x10\x03\0\0" + b"a" * 767 + b".", b"N", b"I1"):
        path.write_bytes(b"\x80\x04(K\x01I12\n" + text * 3 + last)
        with pytest.raises(SkeletonFormatError) as raised:
            read_pickle(path)
        # The last opcode, or where one more is missing.
        assert raised.value.offset == 9 + 3 * len(text) + (last == b"N")


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], object),
        np.array([(1, 2)], [("a", int), ("b", int)]),
        np.zeros(2, complex),
        {1, 2},
        frozenset(),
        bytearray(3),
        print,
    ],
)
def test_pickles_hold_plain_data_only(tmp_path, value):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(SkeletonFormatError):
        read_pickle(path)


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays(tmp_path, protocol):
    strided = np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)
    fixed = np.arange(5, dtype=np.int16)
    fixed.flags.writeable = False
    arrays = [
        strided,
        strided[:, :, ::2],
        np.array(7.0),
        fixed,
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array([True, False]),
    ]
    if protocol > 2:
        # Older protocols call the builtin ``bytes`` for nothing, and builtins are not called.
        arrays.append(np.zeros((0, 3), np.float16))
    content = {"a": arrays, "n": [np.float32(1.5), np.int64(-3), np.bool_(True)], "t": ("x", None)}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(path)
    for array, entry in zip(arrays, found["a"], strict=True):
        assert entry.array().dtype == array.dtype and np.array_equal(entry.array(), array)
    assert found["n"] == [1.5, -3, True] and found["t"] == ("x", None)


# One annotation, written by numpy 1.26.4 with protocol 5.
NUMPY_1 = """
gAWVJQEAAAAAAAB9lCiMCGtleXBvaW50lIwSbnVtcHkuY29yZS5udW1lcmljlIwLX2Zyb21idWZmZXKUk5QolhgAAAAAAAAAAAAA
PABAAEIARABFAEYARwBIgEgASYBJlIwFbnVtcHmUjAVkdHlwZZSTlIwCZjKUiYiHlFKUKEsDjAE8lE5OTkr/////Sv////9LAHSU
YihLAUsCSwNLAnSUjAFDlHSUUpSMDmtleXBvaW50X3Njb3JllGgEKJYYAAAAAAAAAAAAAAAAAEBAAACAPwAAgEAAAABAAACgQJRo
CIwCZjSUiYiHlFKUKEsDaAxOTk5K/////0r/////SwB0lGJLAUsCSwOHlIwBRpR0lFKUjAVsYWJlbJRLBIwJZnJhbWVfZGlylIwB
YZR1Lg==
"""


def test_a_pickle_of_protocol_5_by_numpy_1(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(base64.b64decode(NUMPY_1))
    clip = read(path)[0]
    assert clip.joints[:, 0].tolist() == np.arange(12.0).reshape(2, 3, 2).tolist()
    assert clip.confidence[:, 0].tolist() == np.arange(6.0).reshape(2, 3).tolist()
    assert (clip.name, clip.label) == ("a", 4)


def test_buffers_keep_the_length_that_was_checked(tmp_path):
    path = tmp_path / "a.pkl"
    data = bytearray(pickle.dumps([np.arange(8, dtype=np.uint8)], 5))
    start = data.index(b"(\x96") + 1
    # The buffer is object 4 of the memo: what follows the array would append to it.
    for appended in (b"h\x04K\x01a0", b"h\x04(K\x01K\x02e0"):
        path.write_bytes(bytes(data[:-1]) + appended + b".")
        with pytest.raises(SkeletonFormatError, match=r"no pickle of plain data: .*export"):
            read_pickle(path)
    # One byte more than there is, and 2^60.
    for length in (len(data), 1 << 60):
        path.write_bytes(data[: start + 1] + struct.pack("<Q", length) + data[start + 9 :])
        with pytest.raises(SkeletonFormatError, match=f"declares {length} bytes, which are not"):
            read_pickle(path)
    outside = pickle.dumps(np.arange(8), 5, buffer_callback=lambda buffer: None)
    path.write_bytes(outside)
    with pytest.raises(SkeletonFormatError, match="the pickle has the opcode"):
        read_pickle(path)


def test_the_remedy_for_other_objects(tmp_path):
    path = tmp_path / "a.pkl"
    for value in (np.str_("name"), np.array(["name"]), OrderedDict(a=1)):
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(SkeletonFormatError, match=r"str\(x\).*tolist\(\).*dict\(x\)"):
            read_pickle(path)


def test_a_pickle_that_repeats_one_clip_gives_an_error(tmp_path):
    entry = {"frame_dir": "a", "keypoint": np.ones((1, 100, 25, 3), np.float32), "label": 1}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([entry] * 10_000))
    with pytest.raises(SkeletonFormatError, match="more than 8 times the bytes that it has"):
        read(path)


# MATLAB files


def mat(tmp_path, *elements):
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements))
    return path


def element(kind, data):
    return struct.pack("<LL", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(shape, data, name=b"d_skel", kind=6, code=9):
    return element(14, b"".join([
        element(6, struct.pack("<LL", kind, 0)),
        element(5, struct.pack(f"<{len(shape)}l", *shape)),
        element(1, name),
        element(code, data),
    ]))  # fmt: skip


def squeezed(data):
    packed = zlib.compress(data)
    return struct.pack("<LL", 15, len(packed)) + packed


def test_mat_files(tmp_path, monkeypatch):
    good = matrix((20, 3, 2), np.arange(120.0).tobytes())
    for path in (mat(tmp_path, good), mat(tmp_path, squeezed(good))):
        clip = read(path)[0]
        assert clip.joints[1, 0, 3, 2] == 20 * 3 + 2 * 20 + 3
    for elements, message in (
        ([matrix((20, 3, 10**6), b"\0" * 960)], "needs 480000000 bytes, 960 are there"),
        ([matrix((20, 3, -1), b"\0" * 960)], "has the shape"),
        ([good[:-40]], "declares .* bytes, .* are there"),
        ([squeezed(good)[:-20]], "declares .* bytes"),
        ([good, good], "occurs twice"),
        ([squeezed(matrix((20, 3, 10**5), b"\0" * 48 * 10**6))], "bytes become more than"),
        ([element(0, b"")] * 20, "expected a variable, got an element of type 0"),
        (
            [matrix((1, 1), b"\0" * 8, name=str(i).encode()) for i in range(10_001)],
            "more than 10000",
        ),
        ([struct.pack("<LL", 15, 4) + b"abcd"], "cannot be decompressed"),
        ([matrix((20, 3, 1), b"\0" * 480, name=b"other")], "expected numbers under 'd_skel'"),
        ([matrix((20, 2, 1), b"\0" * 320)], r"must be real numbers of shape \(20, 3, T\)"),
    ):
        with pytest.raises(SkeletonFormatError, match=message):
            read(mat(tmp_path, *elements), "utd_mhad_mat")
    monkeypatch.setattr(matfile, "_MAX_VARIABLES", 2)
    names = [matrix((1, 1), b"\0" * 8, name=name) for name in (b"a", b"b", b"c")]
    assert MatFile(mat(tmp_path, *names[:2]), Limits()).names == ("a", "b")
    with pytest.raises(SkeletonFormatError, match="more than 2 variables"):
        MatFile(mat(tmp_path, *names), Limits())
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 600)
    with pytest.raises(SkeletonFormatError, match="-v7"):
        read(path, "utd_mhad_mat")


# Sizes that follow from few bytes


def test_clips_that_would_be_huge(tmp_path):
    person = {"pose": [0.5] * 36, "score": [1.0] * 18}
    data = [{"frame_index": 9_999_999, "skeleton": [person] * 50}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [*data, {"frame_index": 1, "skeleton": []}]}))
    with pytest.raises(SkeletonFormatError, match=r"of 50 persons would need .* bytes"):
        read(path)
    lines = ["3000"]
    for frame in range(3000):
        lines += ["1", f"{frame} 0 1 1 1 1 0 0 0 2", "25", *["1 2 3 4 5 6 7 8 9 10 11 2"] * 25]
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text("\n".join(lines))
    with pytest.raises(SkeletonFormatError, match="3000 frames of 224 persons would need"):
        read(path)


def test_millions_of_empty_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(READERS["clips_npz"], "free_growth", 1 << 16)
    monkeypatch.setattr(READERS["clips_npz"], "max_growth", 2)
    path = tmp_path / "a.npz"
    lengths = np.zeros(2000, np.int8)
    lengths[-1] = 4
    np.savez(path, joints=np.ones((4, 20, 3), np.float32), lengths=lengths)
    with pytest.raises(SkeletonFormatError, match="gives more than 2 times"):
        read(path)


def test_errors_cross_processes():
    error = SkeletonFormatError("a", "is wrong", line=3, item="x", remedy="Mend it")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a, line 3, x: is wrong. Mend it."
    assert (again.line, again.reason) == (3, "is wrong") and len(again.args) == 1


def test_messages_stay_printable():
    error = SkeletonFormatError("a\x1b[31m\ud800", "\n" * 10_000)
    assert str(error).isprintable() and len(str(error)) < 3000


# A short run of the fuzzing; the long one: docs/reliability.md


def test_mutated_files_of_every_format(capsys):
    status = main(["fuzz", "--cases", "20", "--seed", "7"])
    text = capsys.readouterr().out
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", text, re.M)
    assert [row[0] for row in rows] == list(SAMPLES)
    assert {row[1] for row in rows} == {"20"}
    assert [row for row in rows if row[4] != "0"] == [] and status == 0
    assert sum(int(row[2]) for row in rows) > 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lambda: 1 / 0, "raised ZeroDivisionError"),
        (lambda: warnings.warn("x", stacklevel=1), "raised UserWarning"),
        (lambda: [].append(1), None),
    ],
)
def test_fuzzing_tells_failures(tmp_path, monkeypatch, fault, kind):
    whole = READERS["bvh"].read

    def read_with_fault(self, unit, options):
        fault()
        yield from whole(self, unit, options)

    monkeypatch.setattr(READERS["bvh"], "read", read_with_fault)
    figures = Figures("bvh")
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        case = Case("bvh", 1, number)
        figures.add(case, run_case(case, folder, [], []))
    failed = {outcome.kind for _, outcome in figures.failures}
    assert failed == ({kind} if kind else set())
    assert figures.cases == 12 and ("refused" in figures.outcomes) == (kind is None)


def test_cases_are_made_again_from_their_number(tmp_path):
    found = []
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        path, name, _ = make_case(Case("msr_action3d_txt", 3, 8), folder, [])
        found.append((name, path.read_bytes() if path.is_file() else None))
    assert found[0] == found[1]


def test_fuzz_options():
    with pytest.raises(ValueError, match=r"format must be one of .*got 'csv'"):
        fuzz(["csv"], cases=1)
    with pytest.raises(ValueError, match="cases or seconds"):
        fuzz(["bvh"])
