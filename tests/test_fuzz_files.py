"""A share of ``make fuzz-files``: every file of the corpus, and some hundred mutations."""

import pytest
from fuzz_files import CORPUS, LOADERS, check, fuzz

FAILED = sorted(path.relative_to(CORPUS) for path in CORPUS.rglob("failed-*"))


@pytest.mark.parametrize("loader", LOADERS)
def test_files_of_the_corpus_and_their_mutations(tmp_path, loader):
    whole = [path for path in (CORPUS / loader).iterdir() if not path.name.startswith("failed")]
    assert any(check(loader, path.read_bytes(), tmp_path) for path in whole)
    # a seed beyond those of the long run
    assert fuzz(loader, tmp_path, 10**6 + [*LOADERS].index(loader), 100)["refused"]


@pytest.mark.parametrize("path", FAILED, ids=str)
def test_what_failed_once(tmp_path, path):
    check(path.parts[0], (CORPUS / path).read_bytes(), tmp_path)
