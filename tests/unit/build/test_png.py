"""Pictures as PNG."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from bg_atlasapi.build.png import data_url, png_bytes
from bg_atlasapi.errors import InvalidInputError


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("few", [True, False])
def test_another_reader_sees_the_same_picture(channels, few):
    """Grey, colour and opacity, with few colours and many, are read back by another library."""
    imagecodecs = pytest.importorskip("imagecodecs")
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 2 if few else 256, (37, 53, channels), dtype=np.uint8)
    data = png_bytes(pixels)
    np.testing.assert_array_equal(imagecodecs.png_decode(data).reshape(pixels.shape), pixels)
    assert data == png_bytes(pixels.copy())
    assert base64.b64decode(data_url(data).partition(",")[2]) == data


def test_few_colours_take_a_palette():
    """A label picture is smaller by its palette, as kind 3 of the format."""
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[2:5] = 200
    assert png_bytes(pixels)[25] == 3


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(pixels):
    """Another type, number of channels or no pixel at all is an error that says what is wanted."""
    with pytest.raises(InvalidInputError, match="picture"):
        png_bytes(pixels)
