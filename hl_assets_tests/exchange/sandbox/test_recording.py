import gzip
from pathlib import Path

import pytest

from hl_assets.exchange.sandbox import RecordingError
from hl_assets.exchange.sandbox.clock import parse_instant
from hl_assets.exchange.sandbox.recording import read_recording

A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
HEADER = "date,address,account_value,pnl"


def write(folder: Path, *lines: str, name: str = "panel.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_unsorted_lines_into_tracks(tmp_path: Path):
    path = write(
        tmp_path,
        "date,address,display_name,account_value,pnl,volume",
        f"2026-03-02,{A},Second,110.5,10.25,7.5",
        f"2026-03-01,{A},First,100,-0.000001,",
        f"2026-03-01T12:30:00+01:00,{B.upper().replace('X', 'x')},,1,2,3",
    )
    tracks = read_recording(path)
    assert list(tracks) == [A, B]
    assert tracks[A].instants.tolist() == [parse_instant("2026-03-01"), parse_instant("2026-03-02")]
    assert tracks[A].account_value.tolist() == [100_000_000, 110_500_000]
    assert tracks[A].pnl.tolist() == [-1, 10_250_000]
    assert tracks[A].volume.tolist() == [0, 750]
    assert tracks[A].names == ("First", "Second")
    assert tracks[B].instants.tolist() == [parse_instant("2026-03-01T11:30:00Z")]
    assert tracks[B].names == (None,)


def test_accepts_leaderboard_headers_milliseconds_gzip_and_a_byte_order_mark(tmp_path: Path):
    path = tmp_path / "panel.csv.gz"
    text = f"\ufeffTimestamp,ethAddress,accountValue,PNL,displayName,vlm,roi\n1772323200000,{A},5,1,x,2,9\n"
    path.write_bytes(gzip.compress(text.encode()))
    track = read_recording(path)[A]
    assert track.instants.tolist() == [1_772_323_200_000]
    assert track.volume.tolist() == [200]
    assert track.names == ("x",)


def test_missing_columns_are_named(tmp_path: Path):
    with pytest.raises(
        RecordingError, match=r"lacks the columns timestamp \(or date\), pnl; it has address, account_value"
    ):
        read_recording(write(tmp_path, "address,account_value", f"{A},1"))


def test_two_columns_of_one_meaning_are_refused(tmp_path: Path):
    with pytest.raises(RecordingError, match=r"'date', 'timestamp' both mean timestamp"):
        read_recording(write(tmp_path, "date,timestamp,address,account_value,pnl"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"2026-03-01,{A},12x,0", r"line 3, column account_value: '12x' is not a number"),
        (f"2026-03-01,{A},1,nan", r"line 3, column pnl: 'nan' is not a finite number"),
        (f"2026-03-01,{A},1,", r"line 3, column pnl: '' is not a number"),
        (f"2026-03-01,{A},1e13,0", r"line 3, column account_value: '1e13'"),
        (f"March 1,{A},1,0", r"line 3, column timestamp: 'March 1' is neither"),
        ("2026-03-01,0x12,1,0", r"line 3, column address: '0x12' is not 0x and 40"),
        (f"2026-03-01,{A},1", r"line 3 has 3 fields, the header 4"),
    ],
)
def test_a_bad_value_is_named_with_line_and_column(tmp_path: Path, line: str, message: str):
    with pytest.raises(RecordingError, match=message):
        read_recording(write(tmp_path, HEADER, f"2026-03-01,{B},1,0", line))


def test_identical_repetitions_are_dropped(tmp_path: Path):
    line = f"2026-03-01,{A},1.0,0"
    assert read_recording(write(tmp_path, HEADER, line, line, line.replace("1.0", "1")))[A].instants.size == 1


def test_contradicting_repetitions_are_named(tmp_path: Path):
    path = write(tmp_path, HEADER, f"2026-03-01,{A},1,0", f"2026-03-01,{B},1,0", f"2026-03-01T00:00Z,{A},2,0")
    with pytest.raises(
        RecordingError, match=rf"lines 2 and 4 contradict each other for {A} at 2026-03-01.*1\.0 and 2\.0"
    ):
        read_recording(path)


def test_volume_must_be_cumulative(tmp_path: Path):
    path = write(tmp_path, HEADER + ",volume", f"2026-03-01,{A},1,0,10", f"2026-03-02,{A},1,0,9.99")
    with pytest.raises(RecordingError, match=r"falls from 10\.0 to 9\.99 at 2026-03-02"):
        read_recording(path)


@pytest.mark.parametrize(
    "content", [b"", b"date,address,account_value,pnl\n", b"\xff\xfe\x00", b'date,address\n"open']
)
def test_unreadable_and_empty_files_are_refused_by_name(tmp_path: Path, content: bytes):
    path = tmp_path / "panel.csv"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"panel\.csv"):
        read_recording(path)


def test_a_missing_and_a_damaged_file_are_refused_by_name(tmp_path: Path):
    with pytest.raises(RecordingError, match=r"nowhere\.csv"):
        read_recording(tmp_path / "nowhere.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(HEADER.encode() * 100)[:-12])
    with pytest.raises(RecordingError, match=r"cut\.csv\.gz"):
        read_recording(cut)
