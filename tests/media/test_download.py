"""Videos of YouTube: what is asked of yt-dlp, and what becomes of what it writes."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmms.media import download, references
from lmms.media.download import download_options, download_youtube, downloaded, youtube_id
from lmms.media.errors import MediaNotFoundError, MediaUnreadableError, MediaUnsupportedError
from lmms.media.references import MediaPlaces, resolve

ID = "dQw4w9WgXcQ"
URL = f"https://www.youtube.com/watch?v={ID}"


class FakeDownloader:
    """Writes what yt-dlp would write, where its options say."""

    def __init__(self, data=b"video", suffix="mp4"):
        self.data = data
        self.suffix = suffix
        self.calls = 0

    def __call__(self, url, options):
        self.calls += 1
        name = options["outtmpl"]["default"].replace("%(ext)s", self.suffix)
        path = Path(options["paths"]["home"], name)
        path.write_bytes(self.data)
        return {"id": ID, "requested_downloads": [{"filepath": str(path)}]}


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"http://youtube.com/watch?list=x&v={ID}&t=3",
        f"https://youtu.be/{ID}?t=5",
        f"https://m.youtube.com/shorts/{ID}",
        f"https://www.youtube.com/embed/{ID}",
        f"HTTPS://WWW.YOUTUBE.COM/watch?v={ID}",
    ],
)
def test_addresses_of_videos(url):
    assert youtube_id(url) == ID


@pytest.mark.parametrize(
    "url",
    [
        f"https://youtube.com.evil.org/watch?v={ID}",
        f"https://evil.org/?u=youtube.com/watch?v={ID}",
        "https://www.youtube.com/watch?v=../../etc/pw",
        "https://www.youtube.com/watch",
        "https://www.youtube.com/playlist?list=PL123",
        "https://youtu.be/",
        "https://[broken",
        "dQw4w9WgXcQ",
    ],
)
def test_addresses_of_anything_else(url, tmp_path):
    assert youtube_id(url) is None
    with pytest.raises(MediaUnsupportedError, match="no video of YouTube"):
        download_youtube(url, tmp_path)


def test_a_video_is_fetched_once_and_then_whole(tmp_path):
    fake = FakeDownloader()
    path = download_youtube(URL, tmp_path / "cache", downloader=fake)
    assert path == str(tmp_path / "cache" / f"{ID}.mp4") == downloaded(ID, tmp_path / "cache")
    assert Path(path).read_bytes() == b"video"
    assert download_youtube(URL, tmp_path / "cache", downloader=fake) == path
    assert fake.calls == 1


def test_half_a_video_has_no_final_name(tmp_path):
    def broken(url, options):
        FakeDownloader(b"ha")(url, options)
        raise MediaNotFoundError("the line was cut")

    with pytest.raises(MediaNotFoundError, match="cut"):
        download_youtube(URL, tmp_path, downloader=broken)
    assert downloaded(ID, tmp_path) is None
    assert download_youtube(URL, tmp_path, downloader=FakeDownloader()) == downloaded(ID, tmp_path)


@pytest.mark.parametrize(("data", "suffix"), [(b"", "mp4"), (b"x", "exe"), (b"x", "m3u8")])
def test_what_is_no_video_is_refused(tmp_path, data, suffix):
    with pytest.raises(MediaNotFoundError, match="yt-dlp"):
        download_youtube(URL, tmp_path, downloader=FakeDownloader(data, suffix))
    assert downloaded(ID, tmp_path) is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaUnreadableError, match="cannot be stored"):
        download_youtube(URL, tmp_path / "file", downloader=FakeDownloader())


def test_nobody_fetches_a_video_twice(tmp_path):
    # Locks of files work between threads as between processes: each opens the file anew.
    fake = FakeDownloader()

    def slow(url, options):
        time.sleep(0.1)
        return fake(url, options)

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(download_youtube, URL, tmp_path, downloader=slow) for _ in range(3)]
    assert {future.result() for future in asked} == {str(tmp_path / f"{ID}.mp4")}
    assert fake.calls == 1


def test_the_resolver_fetches_only_where_it_may(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    fake = FakeDownloader()
    monkeypatch.setattr(download, "_yt_dlp", fake)
    cache = str(tmp_path / "cache")
    assert resolve(URL, places=MediaPlaces(download_dir=cache)) == URL
    assert resolve(URL, places=MediaPlaces(offline=False)) == URL
    assert resolve(URL, "image", places=MediaPlaces(download_dir=cache, offline=False)) == URL
    assert fake.calls == 0
    online = MediaPlaces(download_dir=cache, offline=False)
    counts = references.ReferenceResolver()
    path = counts.find(URL, "video", online)
    assert path == downloaded(ID, cache)
    assert counts.statistics.downloads == 1
    # What has been fetched is used offline too, and a local copy comes first.
    assert resolve(URL, places=MediaPlaces(download_dir=cache)) == path
    local = tmp_path / "own" / f"{ID}.webm"
    local.parent.mkdir()
    local.touch()
    assert resolve(URL, places=MediaPlaces(roots=(str(local.parent),))) == str(local)


def test_without_yt_dlp_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yt_dlp", None)
    with pytest.raises(MediaUnsupportedError, match=r"lmms\[youtube\]"):
        download_youtube(URL, tmp_path)


def test_the_real_yt_dlp_takes_the_options(tmp_path, monkeypatch):
    yt_dlp = pytest.importorskip("yt_dlp", reason="yt-dlp is not installed (extra `youtube`)")
    options = download_options(ID, tmp_path)
    homes = (
        yt_dlp.YoutubeDL,
        yt_dlp.downloader.FileDownloader,
        yt_dlp.downloader.fragment.FragmentFD,
    )
    documented = "".join(home.__doc__ for home in homes)
    assert [name for name in options if f"{name}:" not in documented] == []
    with yt_dlp.YoutubeDL(dict(options)) as session:
        assert session.prepare_filename({"id": ID, "title": "t", "ext": "mp4"}) == str(
            tmp_path / f"{ID}.mp4"
        )
        select = session.build_format_selector(options["format"])
    sizes = [(360, "mp4"), (1080, "mp4"), (1080, "webm"), (2160, "mp4")]
    formats = [
        {"format_id": f"{height}{ext}", "ext": ext, "height": height, "vcodec": "avc1",
         "acodec": "none", "url": "http://x", "protocol": "https"}
        for height, ext in sizes
    ]  # fmt: skip
    chosen = list(
        select({"formats": formats, "has_merged_format": False, "incomplete_formats": False})
    )
    assert [entry["format_id"] for entry in chosen] == ["1080mp4"]

    def refused(self, url, download=True):
        raise yt_dlp.utils.DownloadError("Video unavailable")

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", refused)
    with pytest.raises(MediaNotFoundError, match="Video unavailable"):
        download_youtube(URL, tmp_path)
