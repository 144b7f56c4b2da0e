"""Boards, as a service has them, that share one machine."""

import pytest

from service.weights.board import WeightsBoard
from service.weights.last_known import LastKnown


@pytest.fixture
def start_board(tmp_path):
    boards = []

    def start(store, poll_s=30.0, **options):
        known = LastKnown(tmp_path / "known.sqlite3")
        board = WeightsBoard(store, known, poll_s=poll_s, **options)
        boards.append(board)
        board.start()
        return board

    yield start
    for board in boards:
        board.stop()
