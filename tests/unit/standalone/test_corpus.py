"""The first corpus: documentation read without importing what has effects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spanstream.events.ids import Key
from spanstream.standalone import corpus


def test_modules_of_the_library_are_documents_with_valid_ids() -> None:
    documents = {document.id: document for document in corpus.documents()}
    assert len(documents) > 200
    assert {"shutil", "asyncio.queues", "itertools", "math", "email.message"} <= documents.keys()
    assert not {"this", "antigravity", "test", "idlelib", "__main__"} & {id.partition(".")[0] for id in documents}
    for id, document in documents.items():
        Key.checked("default", corpus.SOURCE, id)
        assert document.text.strip()
        assert document.metadata["module"] == id.partition(".")[0]
    assert "Recursively delete a directory tree." in documents["shutil"].text
    assert "## rmtree(path" in documents["shutil"].text


def test_reading_imports_nothing_with_effects() -> None:
    program = (
        "import sys; from spanstream.standalone import corpus; list(corpus.documents());"
        "sys.exit(bool({'this', 'antigravity', 'tkinter', 'turtle', 'idlelib', 'pip'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_source_is_read_with_signatures_and_nested_docstrings(tmp_path: Path) -> None:
    (tmp_path / "shutil.py").write_text(
        '"""Copy."""\nclass A(B):\n    """An A."""\n    def go(self, *, fast=True):\n        """Go."""\n'
        '    def _hidden(self):\n        """No."""\nasync def run(x: int) -> str:\n    """Run."""\ndef silent(): ...\n'
    )
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text("syntax error (")
    found = {document.id: document.text for document in corpus.documents(tmp_path)}
    assert found["shutil"] == (
        "# shutil\n\nCopy.\n\n## class A(B)\n\nAn A.\n\n### A.go(self, *, fast=True)\n\nGo.\n\n## run(x: int)\n\nRun.\n\n"
    )
    assert "json" not in found
