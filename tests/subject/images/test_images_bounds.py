"""Images in 16 bits that use fewer, folders linked to each other, files that unpack to any size, kinds without a reader."""

import io
import itertools
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import IconoscopeError, IconoscopeWarning, ImageFileError, ImagesError, QuestionError
from iconoscope.subject.images import load_images
from iconoscope.subject.images.folder import open_folder


def keep(folder, bits, *, suffix="png", count=3, lowest=0):
    """Pictures in 16 bits whose values fill some."""
    folder.mkdir(exist_ok=True)
    ramp = np.linspace(lowest, 2**bits - 1, 64).round().astype(np.uint16)
    for number in range(count):
        PillowImage.fromarray(np.tile(ramp, (8, 1))).save(folder / f"{number}.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_bits_that_the_images_show_are_said_with_what_sets_them(tmp_path, bits, suffix):
    images = load_images(keep(tmp_path / "a", bits, suffix=suffix))
    with pytest.warns(
        IconoscopeWarning, match=rf"stored in 16 bits.*the last of {bits} bits.*bits={bits} \(--bits {bits}\)"
    ):
        dark = [image.pixels.max() for image in images.readable()]
    assert max(dark) <= 64
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bright = [image.pixels for image in load_images(tmp_path / "a", bits=bits).readable()]
    assert all(pixels.max() == 255 and pixels.min() == 0 for pixels in bright)
    assert (np.abs(bright[0][0, :, 0] - np.linspace(0, 255, 64)) <= 0.6).all()


def test_the_widest_of_a_set_decides_and_one_that_is_16_bits_is_silent(tmp_path):
    keep(tmp_path / "a", 10, count=2)
    keep(tmp_path / "a" / "wider", 12)
    with pytest.warns(IconoscopeWarning, match="the last of 12 bits"):
        list(load_images(tmp_path / "a").readable())
    keep(tmp_path / "a" / "whole", 16, count=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(load_images(tmp_path / "a").readable())
        night = tmp_path / "night"
        night.mkdir()
        PillowImage.fromarray(np.full((8, 8, 3), 20, np.uint8)).save(night / "dark.png")  # 8 bits, and dark
        list(load_images(night).readable())


def test_bits_are_checked(tmp_path):
    keep(tmp_path / "a", 14)
    with pytest.raises(QuestionError, match="bits=11 is not a choice"):
        load_images(tmp_path / "a", bits=11)
    with pytest.raises(ImageFileError, match="16383, and 12 bits end at 4095"):
        _ = load_images(tmp_path / "a", bits=12)[0].pixels
    with pytest.raises(QuestionError, match="has none"):
        load_images(np.zeros((1, 8, 8, 3), np.uint8), bits=12)


def test_folders_that_are_linked_to_each_other_have_an_end(tmp_path):
    names = [f"folder{number}" for number in range(9)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    for name, other in itertools.permutations(names, 2):
        (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    with pytest.raises(ImagesError, match="in over 100 ways"):
        open_folder(tmp_path)


def test_a_folder_has_the_names_that_links_give_it(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").touch()
    (tmp_path / "kitty").symlink_to(tmp_path / "cat")
    assert open_folder(tmp_path).ids == ["cat/a.png", "kitty/a.png"]


@pytest.mark.parametrize(
    ("content", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "pillow-heif"),
        (b"\xff\x0a" + b"\0" * 30, "pillow-jxl-plugin"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 30, "pillow-jxl-plugin"),
    ],
)
def test_a_kind_that_another_package_reads_is_named_with_it(tmp_path, content, package):
    (tmp_path / "a.heic").write_bytes(content)
    with pytest.raises(ImageFileError, match="HEIC, AVIF or JPEG XL") as raised:
        _ = load_images(tmp_path / "a.heic")[0].pixels
    assert package in raised.value.hint


def png(width, height, packed):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        png(2**31 - 1, 2**31 - 1, b""),
        png(60_000, 60_000, zlib.compress(b"\0" * 10**6)),
        b"P6 2147483647 2147483647 255\n",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
        b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    ],
)
def test_a_header_that_tells_of_any_size_is_refused_before_it_is_decoded(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImagesError, match="cannot be read"):
        _ = load_images(tmp_path / "a.png")[0].pixels


@pytest.mark.parametrize(
    "shape", ["(-1, 8, 8, 3)", "(99999999, 99999, 8, 3)", "(2, -8, 8, 3)", "((2,), 8, 8, 3)", "(2" + ",1" * 40 + ")"]
)
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_an_array_whose_header_makes_no_sense_is_refused(tmp_path, shape, kind):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", 192) + header.ljust(191).encode() + b"\n"
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", content)
    else:
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImagesError, match="cannot be read"):
            load_images(path)


def test_a_label_of_any_depth_and_size_is_refused(tmp_path):
    import tarfile

    picture = io.BytesIO()
    PillowImage.fromarray(np.zeros((4, 4, 3), np.uint8)).save(picture, "png")
    for content, reason in ((b"[" * 100_000, "nested too deeply"), (b" " * (2**24 + 1), "16,777,217 bytes")):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            for name, data in (("0.png", picture.getvalue()), ("0.json", content)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        with pytest.raises(ImagesError, match=reason):
            load_images(tmp_path / "a.tar")


def test_entities_of_xml_do_not_multiply(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    PillowImage.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "JPEGImages" / "a.png")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 100}">{entities}]><annotation><object><name>&e9;</name></object></annotation>'
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(IconoscopeError, match=r"a\.xml cannot be read"):
        load_images(tmp_path)
