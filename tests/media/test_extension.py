"""The extension as a part: its types, what happens without it, what importing costs."""

import ast
import builtins
import inspect
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lmms
from lmms import _media, media

PACKAGE = Path(lmms.__file__).parent


def run(code: str) -> str:
    """Runs Python code in a fresh process from the repository's root."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_stub_names_what_the_module_has():
    tree = ast.parse((PACKAGE / "_media.pyi").read_text())
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    public = {name for name in dir(_media) if not name.startswith("_")}
    assert public == {name for name in classes if name[0] != "_"} | set(functions)
    for name, node in functions.items():
        arguments = [argument.arg for argument in node.args.args]
        assert arguments == list(inspect.signature(getattr(_media, name)).parameters), name
    for name, node in classes.items():
        native = getattr(_media, name, None)
        if not node.bases:
            members = {n.name for n in node.body if isinstance(n, ast.FunctionDef)} - {"__new__"}
            assert members == {member for member in dir(native) if not member.startswith("_")}
        elif native is not None:
            (base,) = node.bases
            assert issubclass(native, getattr(builtins, base.id))


def test_the_stub_passes_mypys_stubtest(tmp_path):
    pytest.importorskip("mypy.stubtest", reason="mypy comes with the extra lint")
    package = tmp_path / "lmms"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("_media.pyi", Path(_media.__file__).name):
        shutil.copy(PACKAGE / name, package)
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "lmms._media"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": ".", "PYTHONPATH": "."},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_native_errors_carry_their_path(tmp_path):
    path = tmp_path / "none.mp4"
    with pytest.raises(_media.NotFoundError) as caught:
        _media.probe(path)
    assert str(caught.value.path) == str(path)
    assert isinstance(caught.value, FileNotFoundError)


def test_every_native_error_has_a_class_of_ours():
    from lmms.errors import MediaError
    from lmms.media.errors import _CLASSES

    classes = {name for name in dir(_media) if inspect.isclass(getattr(_media, name))}
    natives = {name for name in classes if issubclass(getattr(_media, name), Exception)}
    assert set(_CLASSES) == natives
    for name, ours in _CLASSES.items():
        assert issubclass(ours, MediaError)
        # Whoever catches the built-in exception catches ours too.
        assert issubclass(ours, getattr(_media, name).__mro__[1])


def test_public_names_are_complete():
    assert sorted(media.__all__) == dir(media)
    assert set(media.__all__) == set(media._MODULE_OF)
    for name in media.__all__:
        assert getattr(media, name).__module__.startswith("lmms.media.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = media.nothing


def test_importing_media_loads_neither_numpy_nor_the_extension():
    loaded = run("""
        import sys
        import lmms.media
        from lmms.media import decode, MediaLoader, load_image, resolve, hash_bytes
        hash_bytes(b"")
        print(sorted({"numpy", "lmms._media", "PIL", "torch"} & set(sys.modules)))
    """)
    assert loaded == "[]\n"


def test_without_ffmpegs_libraries_only_decoding_fails(tmp_path):
    """A copy of the extension that asks the dynamic linker for a library that is not there."""
    extension = Path(_media.__file__).read_bytes()
    assert extension.count(b"libavformat.so.59") > 0
    (tmp_path / "_media.abi3.so").write_bytes(
        extension.replace(b"libavformat.so.59", b"libavformat.so.99")
    )
    told = run(f"""
        import lmms
        lmms.__path__.insert(0, {str(tmp_path)!r})
        from lmms.errors import MediaError
        from lmms.media import hash_bytes, probe, uniform_indices
        assert uniform_indices(5, 2) == (0, 4) and hash_bytes(b"x")
        try:
            probe("clip.mp4")
        except MediaError as error:
            print(error.exit_code, error)
    """)
    assert told.startswith("4 FFmpeg's shared libraries cannot be loaded")
    assert "libavformat.so.99: cannot open shared object file" in told
    assert "apt-get install" in told
    assert "libavformat99" in told
    assert "libswscale6" in told


def test_without_the_extension_the_build_is_named():
    told = run("""
        import sys
        import lmms

        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name == "lmms._media":
                    raise ModuleNotFoundError("No module named 'lmms._media'", name=name)

        sys.meta_path.insert(0, Hide())
        from lmms.errors import MediaError
        from lmms.media import load_image
        try:
            load_image(b"x")
        except MediaError as error:
            print(error)
    """)
    assert "the media extension of lmms is not built" in told
    assert "pip install -e ." in told
