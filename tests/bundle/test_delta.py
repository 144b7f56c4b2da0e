"""Changes of the catalogue as a reader gets them."""

import numpy as np
from support.release import add_delta, add_exact_index, make_release

from bundle.delta import delta_folder, read_delta


def test_nothing_of_a_delta_is_read_from_a_file_once_it_is_open(tmp_path):
    index = add_exact_index(make_release(tmp_path, items=40), "b1", attributes=True)
    add_delta(index, 2, kept=[3, 5, 8], removed=[1, 9])
    delta = read_delta(index, 2)
    arrays = [delta.item_ids_D, delta.item_vectors_DM, delta.removed_ids_R]
    arrays += [column.values_N for column in delta.attributes]
    assert not [array for array in arrays if isinstance(array, np.memmap)]
    for file in (delta_folder(index) / "00000002").iterdir():
        file.write_bytes(b"")
    expected = [index.item_vectors_NM[row] for row in (3, 5, 8)]
    np.testing.assert_array_equal(delta.item_vectors_DM, expected)
