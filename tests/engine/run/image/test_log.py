"""What an image's steps print, kept and summed up."""

from __future__ import annotations

import stat

from engine.home import Home
from engine.run.image import log as image_log
from engine.run.image.log import ImageLog

RUN = "run_0123456789ab"


def log(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run(RUN))
    return ImageLog(home, RUN)


def test_all_of_it_is_kept_privately_and_nothing_in_it_acts_on_a_terminal(tmp_path):
    kept = log(tmp_path)
    kept.begin("step 1")
    kept.feed("stdout", b"one\n\x1b[31mtw")
    kept.feed("stderr", b"beside\n")
    kept.feed("stdout", b"o\r\n 10%\r 90%\nleft\xe2\x80\xaeright")
    kept.finish()
    kept.close()
    lines = kept.path.read_text().splitlines()
    assert lines == ["moat: step 1", "one", "beside", "\ufffd[31mtwo", " 90%", "left\ufffdright"]
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_the_last_lines_are_those_that_speak_of_an_error_where_some_do(tmp_path):
    kept = log(tmp_path)
    kept.begin("apt")
    kept.feed("stdout", b"E: Unable to locate package x\n" + b"W: noise\n" * 5)
    kept.finish()
    assert kept.last_lines() == "E: Unable to locate package x"
    kept.begin("hook")
    kept.feed("stdout", b"\n".join(b"%d" % n for n in range(6)) + b"\n\n")
    kept.finish()
    assert kept.last_lines() == "3 / 4 / 5"
    kept.close()


def test_a_flood_is_cut_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(image_log, "MOST_BYTES", 100)
    kept = log(tmp_path)
    kept.begin("step")
    kept.feed("stdout", b"0123456789\n" * 20)
    kept.finish()
    kept.close()
    text = kept.path.read_text()
    assert len(text) < 160
    assert text.endswith("moat: 12 more lines were not kept\n")
