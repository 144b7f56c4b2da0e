"""What a run tells its user while it trains."""

import logging

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.progress import ProgressReport


def test_off_a_terminal_each_phase_ends_with_a_line_of_rate_and_time_left(tmp_path, caplog):
    report = ProgressReport(tmp_path)
    with caplog.at_level(logging.INFO, logger="training"):
        report.start("exposure", 40, 0, 0)
        for _ in range(40):
            report.step(2.5, 512)
        report.end()
    assert "exposure: step 40 of 40, loss 2.500" in caplog.text
    assert "positives/s, 0 s left" in caplog.text


def test_tensorboard_gets_the_loss_of_every_phase_on_one_axis(tmp_path):
    report = ProgressReport(tmp_path)
    for before, phase in ((0, "exposure"), (40, "exposure recovery")):
        report.start(phase, 40, 0, before)
        for _ in range(40):
            report.step(2.5, 512)
        report.end()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/exposure")] == [20, 40]
    assert [event.step for event in events.Scalars("loss/exposure_recovery")] == [60, 80]
